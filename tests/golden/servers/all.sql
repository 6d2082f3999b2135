-- What every server can do, from MySQL 5.5 and MariaDB 10.11 on. Where the binlog names no columns, CREATE TABLE does.
CREATE TABLE numbers (
  id INT UNSIGNED NOT NULL PRIMARY KEY,
  tiny TINYINT,
  small SMALLINT UNSIGNED,
  medium MEDIUMINT UNSIGNED,
  big BIGINT UNSIGNED,
  amount DECIMAL(12,3),
  f FLOAT,
  d DOUBLE,
  flags BIT(9),
  y YEAR
) ENGINE=InnoDB DEFAULT CHARSET=utf8;
INSERT INTO numbers VALUES (1, -128, 65535, 16777215, 18446744073709551615, -123456789.125, 0.5, -1e100, b'100000001', 1999), (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
CREATE TABLE times (
  id INT NOT NULL PRIMARY KEY,
  a_date DATE,
  a_time TIME,
  a_datetime DATETIME,
  stamp TIMESTAMP NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8;
INSERT INTO times VALUES (1, '1000-01-01', '-838:59:59', '9999-12-31 23:59:59', '2038-01-19 03:14:07'), (-7, '2026-11-30', '12:34:56', '2026-11-30 01:02:03', NULL);
CREATE TABLE texts (
  id INT NOT NULL PRIMARY KEY,
  c CHAR(8) CHARACTER SET latin1,
  v VARCHAR(300) CHARACTER SET utf8,
  bin VARBINARY(20),
  body TEXT CHARACTER SET utf8,
  data BLOB,
  e ENUM('a','b c') CHARACTER SET utf8,
  s SET('x','y','z') CHARACTER SET utf8
) ENGINE=InnoDB DEFAULT CHARSET=utf8;
INSERT INTO texts VALUES (1, 'é', 'zwölf Boxkämpfer', x'00ff', REPEAT('text ', 60), x'0001fe', 'b c', 'x,z'), (2, '', '', '', '', '', 'a', '');
UPDATE texts SET v = 'другой', s = 'y' WHERE id = 1;
DELETE FROM texts WHERE id = 2;
CREATE TABLE no_key (n INT, v VARCHAR(10) CHARACTER SET utf8) ENGINE=InnoDB DEFAULT CHARSET=utf8;
BEGIN;
INSERT INTO no_key VALUES (1, 'one'), (1, 'one');
UPDATE numbers SET tiny = 7 WHERE id = 2;
DELETE FROM no_key LIMIT 1;
COMMIT;
ALTER TABLE numbers ADD COLUMN more SMALLINT NOT NULL DEFAULT 5 AFTER tiny, DROP COLUMN f;
UPDATE numbers SET more = -6 WHERE id = 1;
TRUNCATE TABLE numbers;
INSERT INTO numbers (id, tiny) VALUES (9, 9);
