-- Say up to when minutes are added up, in the transaction that added them up; drop what is older than keep_seconds.
--
-- Index: minutes_mark_one_row; the primary key of minutes.
WITH gone AS (
    DELETE FROM {schema}.minutes AS m
    WHERE m.minute < %(until_at)s::timestamptz - make_interval(secs => %(keep_seconds)s::double precision)
)
INSERT INTO {schema}.minutes_mark AS m (until_at, last_id, previous_id)
VALUES (%(until_at)s::timestamptz, %(last_id)s::bigint, %(last_id)s::bigint)
ON CONFLICT ((true)) DO UPDATE
SET until_at = excluded.until_at,
    previous_id = m.last_id,
    last_id = excluded.last_id
RETURNING m.until_at
