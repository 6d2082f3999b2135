-- Text in several character sets, and bytes.
CREATE TABLE texts (
    id VARCHAR(20) PRIMARY KEY, c CHAR(5), v VARCHAR(300), l VARCHAR(20) CHARACTER SET latin1, g VARCHAR(20) CHARACTER SET gbk,
    s CHAR(20) CHARACTER SET sjis, u TEXT CHARACTER SET utf16, k VARCHAR(20) CHARACTER SET koi8r, m MEDIUMTEXT
) CHARACTER SET utf8mb4;
INSERT INTO texts VALUES ('🐌', 'ab   ', 'tail  ', 'ä€ÿ', '你好', 'あ\\', '🐌', 'Привет', NULL), ('', '', '', '', '', '', '', '', '');
UPDATE texts SET l = 'ß', m = REPEAT('long ', 20) WHERE id = '🐌';
CREATE TABLE binaries (id INT PRIMARY KEY, fixed BINARY(4), v VARBINARY(300), b BLOB NOT NULL);
INSERT INTO binaries VALUES (1, 'a', x'00ff', x''), (2, x'00000000', '', x'6100'), (3, NULL, NULL, 'abc');
