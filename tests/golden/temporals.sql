-- Dates and times, those that are none among them; a TIMESTAMP is a moment.
SET sql_mode = 'ALLOW_INVALID_DATES';
CREATE TABLE times (
    id INT PRIMARY KEY, d DATE, y YEAR, t TIME, t6 TIME(6), dt DATETIME, dt3 DATETIME(3), ts TIMESTAMP NULL, ts6 TIMESTAMP(6) NULL,
    required DATE NOT NULL
);
INSERT INTO times VALUES
    (1, '1000-01-01', 1901, '838:59:59', '838:59:58.999999', '9999-12-31 23:59:59', '1969-12-31 23:59:59.999', '1970-01-01 00:00:01', '2038-01-19 03:14:07.999999', '2000-02-29'),
    (2, '0000-00-00', 0, '-838:59:59', '-00:00:00.000001', '0000-00-00', '2021-02-30 01:02:03.004', '0000-00-00', '0000-00-00', '2021-00-10'),
    (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '9999-12-31');
SET time_zone = '+05:30';
INSERT INTO times (id, ts, dt, required) VALUES (4, '2024-01-01 00:00:00', '2024-01-01 00:00:00', '2024-01-01');
UPDATE times SET d = '2024-02-29', required = '0000-00-00' WHERE id = 2;
