-- JSON as the server prints it, and documents that are logged by their changes.
CREATE TABLE documents (id INT PRIMARY KEY, d JSON);
INSERT INTO documents VALUES
    (1, 'null'), (2, '[true, false, 0, -1, 32768, 18446744073709551615, 1.5, 1e-7, 1e100]'), (3, '{"b": "x", "a": {"deep": [[], {}]}, "": "ä🐌\\u0001\\n"}'),
    (4, JSON_ARRAY(1.50, CAST('2015-01-15 23:24:25.12' AS DATETIME(2)), CAST('2015-01-15' AS DATE), CAST('-12:01:02.5' AS TIME(1)), x'0102ff')),
    (5, JSON_OBJECT('text', REPEAT('x', 100), 'list', JSON_ARRAY(1, 2, 3), 'dotted.key', 1)), (6, NULL);
SET binlog_row_value_options = 'PARTIAL_JSON';
UPDATE documents SET d = JSON_SET(d, '$.list[1]', 'two', '$.new', TRUE) WHERE id = 5;
UPDATE documents SET d = JSON_REMOVE(d, '$.list[0]', '$."dotted.key"') WHERE id = 5;
UPDATE documents SET d = JSON_REPLACE(d, '$.text', 'short') WHERE id = 5;
UPDATE documents SET d = '[]' WHERE id = 5;
