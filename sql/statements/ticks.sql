-- copy_ticks: load decoded ticks, in the order of the log
copy ticks (time, received_at, instrument_token, last_price, last_quantity, average_price, volume, buy_quantity,
            sell_quantity, oi, bid_price, bid_quantity, ask_price, ask_quantity, n, stream_id, flags)
from stdin (format binary)
