-- MariaDB's own: types, and statements and rows that are compressed one by one.
CREATE TABLE own (
  id UUID NOT NULL PRIMARY KEY,
  four INET4,
  six INET6,
  body TEXT COMPRESSED CHARACTER SET utf8mb4,
  data VARBINARY(1000) COMPRESSED,
  hidden INT INVISIBLE DEFAULT 3
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO own (id, four, six, body, data) VALUES ('123e4567-e89b-12d3-a456-426655440000', '10.0.0.1', '::ffff:192.0.2.1', REPEAT('compressed ', 30), REPEAT(x'00', 500));
SET GLOBAL log_bin_compress_min_len = 10;
SET GLOBAL log_bin_compress = ON;
INSERT INTO own (id, body) VALUES ('00000000-0000-0000-0000-000000000001', REPEAT('x', 300));
UPDATE own SET hidden = 4;
SET GLOBAL log_bin_compress = OFF;
DELETE FROM own WHERE body LIKE 'x%';
CREATE TABLE versions (id INT NOT NULL PRIMARY KEY, v INT) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 WITH SYSTEM VERSIONING;
SET timestamp = 1800000000.25;
INSERT INTO versions VALUES (1, 1);
SET timestamp = 1800000001.5;
UPDATE versions SET v = 2;
SET timestamp = DEFAULT;
