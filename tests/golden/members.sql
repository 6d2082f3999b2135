-- ENUM and SET, in a character set of their own and with more members than fit a byte.
SET sql_mode = '';
CREATE TABLE members (
    id INT PRIMARY KEY, e ENUM('small','it''s','ä🐌'), l ENUM('ä','ö') CHARACTER SET latin1 NOT NULL, s SET('a','b','c'),
    many SET('f1','f2','f3','f4','f5','f6','f7','f8','f9') NOT NULL
) CHARACTER SET utf8mb4;
INSERT INTO members VALUES (1, 'ä🐌', 'ö', 'a,c', 'f1,f9'), (2, 'none of them', 'ä', '', ''), (3, NULL, 1, NULL, 511);
UPDATE members SET e = 'it''s', s = 'b' WHERE id = 1;
DELETE FROM members WHERE id = 3;
