-- A compressed transaction: its rows share a place, and are numbered over all of it.
CREATE TABLE a (id INT PRIMARY KEY, v VARCHAR(100));
CREATE TABLE b (id INT, v TEXT);
SET binlog_transaction_compression = ON, binlog_rows_query_log_events = ON;
BEGIN;
INSERT INTO a VALUES (1, REPEAT('a', 90)), (2, 'two');
INSERT INTO b VALUES (1, REPEAT('b', 300)), (2, NULL);
UPDATE a SET v = 'changed';
COMMIT;
INSERT INTO a VALUES (3, 'alone');
