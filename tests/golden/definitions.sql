-- Definitions that change between rows, hidden and generated columns, names outside of Avro's alphabet.
CREATE TABLE t (id INT PRIMARY KEY, a INT, b VARCHAR(10));
INSERT INTO t VALUES (1, 10, 'ten');
ALTER TABLE t DROP COLUMN a, ADD COLUMN `größe-in cm` DECIMAL(5,1) FIRST, ADD COLUMN hidden INT INVISIBLE DEFAULT 5;
INSERT INTO t (id, b, `größe-in cm`) VALUES (2, 'two', 1.5);
ALTER TABLE t ADD COLUMN twice INT GENERATED ALWAYS AS (id * 2) STORED, ADD COLUMN thrice INT GENERATED ALWAYS AS (id * 3) VIRTUAL, DROP PRIMARY KEY;
INSERT INTO t (id, b) VALUES (3, 'three');
TRUNCATE TABLE t;
INSERT INTO t (id, b) VALUES (4, 'four');
