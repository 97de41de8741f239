-- End waiting jobs that did not start by their time; see expire_v1.
--
-- No row back: there is none.
SELECT e.id, e.queue_name, e.task_name FROM {schema}.expire_v1() AS e
