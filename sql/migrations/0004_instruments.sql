-- Instruments as the brokers' daily dumps give them, each description with the days for which it held.

create table instruments (
    instrument_token bigint           not null,
    exchange         text             not null,
    tradingsymbol    text             not null,
    name             text             not null,
    segment          text             not null,
    instrument_type  text             not null,
    expiry           date,
    strike           double precision,
    tick_size        double precision not null,
    lot_size         bigint           not null,
    exchange_token   bigint           not null,
    broker           text             not null,
    valid_from       date             not null,
    valid_to         date,
    primary key (instrument_token, valid_from, broker)
);
create index instruments_symbol on instruments (tradingsymbol text_pattern_ops, exchange);
create index instruments_now on instruments (exchange, instrument_type, expiry) where valid_to is null;
comment on column instruments.valid_to is 'The last day on which a dump had it so; null while the newest dump has it.';

create table instrument_dumps (
    broker text   not null,
    day    date   not null,
    n      bigint not null,
    rows   integer not null,
    sha256 text   not null,
    at     timestamptz not null,
    primary key (broker, day)
);
comment on table instrument_dumps is 'The dump that stands for each day.';
