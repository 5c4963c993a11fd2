"""The part of the catalogue that tells of the trading accounts: pulls, what is known of them, who follows them."""

from runtime.registry import counter, gauge, histogram

# --- The poller: these names are older than Bahi's
TRADE_SYNC_SECONDS = histogram(
    "trade_sync_duration_seconds",
    "Time for one run over one account, waits for the rate budget included, by outcome (ok, partial, failed, refused)",
    "account_id",
    "status",
    buckets=(0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0),
)
TRADE_SYNC_TRADES = gauge(
    "trade_sync_trades_count",
    "Trades of the day in the account's last answer; back to 0 overnight",
    "account_id",
)
TRADE_SYNC_ORDERS = gauge(
    "trade_sync_orders_count",
    "Orders of the day in the account's last answer; back to 0 overnight",
    "account_id",
)
TRADE_SYNC_ERRORS = counter(
    "trade_sync_errors_total",
    "Kinds, or charges, that a run could not fetch, by what went wrong (refused, throttled, network, timeout, server, "
    "cut, unreadable, input)",
    "account_id",
    "error_type",
)
TRADE_SYNC_REFUSED = gauge(
    "trade_sync_token_refused",
    "1 while the account's token is refused or missing: `bahi login` for this account",
    "account_id",
)
TRADE_SYNC_LAST_SUCCESS = gauge(
    "trade_sync_last_success_timestamp_seconds",
    "When the account was last pulled whole; old in market hours, its tables are old",
    "account_id",
)

# --- Reconciliation, seen from outside by the API
RECONCILIATION_DIVERGENCES = gauge(
    "reconciliation_divergences",
    "What the account's books and its broker do not agree on, by type; absent where they agree, settling ones apart",
    "account_id",
    "type",
)

# --- Live clients
ACCOUNT_CLIENTS = gauge(
    "bahi_account_clients",
    "Open live connections that follow what changes in the accounts",
)
ACCOUNT_CHANGES = counter(
    "bahi_account_changes_sent_total",
    "Changes in the accounts sent to live clients",
)

# --- Seen from outside: by the API, in the tables
TRADE_DATA_FRESHNESS = gauge(
    "trade_data_freshness_seconds",
    "Seconds since a kind of an account was last asked for with success; in market hours about SYNC_INTERVAL_SECONDS "
    "at most",
    "account_id",
    "kind",
)
TRADE_DATA_DUPLICATES = gauge(
    "trade_data_duplicate_count",
    "Trades that a broker told twice in one answer, under one key and with another content: the first counts, the "
    "others are parked; above zero wants a look",
)
TRADE_DATA_MISSING_STRATEGY = gauge(
    "trade_data_missing_strategy_id_total",
    "Trades of the account, of all days, that belong to no strategy: no tag, no rule and no hand gives them to one",
    "account_id",
)
ACCOUNT_STALE = gauge(
    "bahi_account_stale",
    "1 while a kind of the account was not asked for during three intervals at an hour at which accounts are pulled",
    "account_id",
)
ACCOUNT_REFUSED = gauge(
    "bahi_account_refused",
    "1 while the account's last run was refused by its broker: `bahi login` for this account",
    "account_id",
)
ACCOUNT_FAILURES = gauge(
    "bahi_account_failures",
    "Runs over the account in a row that did not bring everything; 0 after one that did",
    "account_id",
)

# --- Messages that Bahi sends
ALERTS_SENT = counter(
    "bahi_alerts_sent_total",
    "Messages about what is wrong that an address of ALERT_URLS took; the place is its service and number",
    "place",
)
ALERTS_FAILED = counter(
    "bahi_alerts_failed_total",
    "Tries of a message that its address did not take; each is tried again: `bahi alerts test` says why",
    "place",
)
ALERTS_WAITING = gauge(
    "bahi_alerts_waiting",
    "Messages that an address has not taken yet; above zero for long nobody is told there",
    "place",
)
