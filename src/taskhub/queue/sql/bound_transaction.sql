-- Limits for a short transaction of ours: it waits for nobody long, and a process that is frozen in
-- the middle of it lets go of its rows.
SELECT
    set_config('lock_timeout', '2s', true),
    set_config('idle_in_transaction_session_timeout', '10s', true)
