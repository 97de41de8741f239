-- Say which share of a queue a fair key has; see weigh_v1.
SELECT {schema}.weigh_v1(%(queue)s::varchar, %(fair_key)s::text, %(weight)s::integer)
