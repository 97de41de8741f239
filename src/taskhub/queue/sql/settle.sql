-- Settle what a running job took of its key's tokens, in a transaction of its own; see settle_v1.
SELECT s.is_held, s.key
FROM {schema}.settle_v1(
    %(job_id)s::bigint,
    %(claim)s::integer,
    %(worker_id)s::bigint,
    %(name)s::text,
    %(actual)s::double precision
) AS s
