-- Images that lack columns are null where they lack them, and say so.
CREATE TABLE orders (id INT PRIMARY KEY, note VARCHAR(20), amount INT NOT NULL DEFAULT 7, body TEXT);
INSERT INTO orders VALUES (1, 'full', 1, 'body');
SET binlog_row_image = 'MINIMAL';
INSERT INTO orders (id, note) VALUES (2, 'by default');
UPDATE orders SET amount = 2 WHERE id = 1;
UPDATE orders SET id = 3 WHERE id = 2;
DELETE FROM orders WHERE id = 1;
SET binlog_row_image = 'NOBLOB';
UPDATE orders SET note = NULL WHERE id = 3;
-- The server says with bits behind those of the last column that they are all in the image.
CREATE TABLE replaced (id INT PRIMARY KEY, a INT, b INT, c INT, d INT, e INT, f INT, v VARCHAR(60), body TEXT);
INSERT INTO replaced VALUES (1, 2, 3, 4, 5, 6, 7, REPEAT('v', 60), 'body');
REPLACE INTO replaced VALUES (1, 12, 13, 14, 15, 16, 17, 'v', 'new');
-- A row without a byte.
CREATE TABLE bare (a INT, b INT DEFAULT 2);
SET binlog_row_image = 'MINIMAL';
INSERT INTO bare VALUES ();
