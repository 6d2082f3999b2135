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
