-- MySQL 8.0.31 and later: compressed transactions, and columns that are not shown.
CREATE TABLE own (
  id INT NOT NULL PRIMARY KEY,
  j JSON,
  twice INT AS (id * 2) STORED,
  hidden INT DEFAULT 3 INVISIBLE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO own (id, j) VALUES (1, '{"a": [1, 2.5, null], "b": "ü"}'), (2, NULL);
SET SESSION binlog_transaction_compression = ON;
UPDATE own SET hidden = 4;
DELETE FROM own WHERE id = 2;
SET SESSION binlog_transaction_compression = OFF;
