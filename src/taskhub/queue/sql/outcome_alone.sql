-- Store one outcome that might wait for a user's transaction; see outcome_alone_v1.
SELECT {schema}.outcome_alone_v1(%(worker_id)s::bigint, %(outcomes)s::text) AS stored
