-- What only MariaDB has.
CREATE OR REPLACE TABLE `m` (`id` int NOT NULL AUTO_INCREMENT, `a` varchar(20) DEFAULT NULL, `b` int DEFAULT 5, PRIMARY KEY (`id`), KEY `b` (`b`));
CREATE OR REPLACE TABLE `m` (`id` int NOT NULL, `a` varchar(20) DEFAULT 'it''s \\ x', `b` int DEFAULT 5, PRIMARY KEY (`id`), KEY `b` (`b`)) PAGE_COMPRESSED=0;
CREATE TABLE IF NOT EXISTS `m` (`other` int);
CREATE OR REPLACE TABLE `copy` LIKE `m`;
CREATE OR REPLACE TABLE `copy` AS SELECT `id`, `a` FROM `m`;
DROP TABLE IF EXISTS `copy`, `never` WAIT 5;
ALTER TABLE `m` ADD COLUMN IF NOT EXISTS `c` bigint(20) unsigned NOT NULL DEFAULT 0 AFTER `a`;
ALTER TABLE `m` ADD COLUMN IF NOT EXISTS `c` int, ADD COLUMN IF NOT EXISTS `d` text DEFAULT 'text''s';
ALTER TABLE `m` DROP COLUMN IF EXISTS `never`, DROP COLUMN IF EXISTS `d`;
ALTER TABLE `m` MODIFY COLUMN IF EXISTS `never` int, MODIFY COLUMN IF EXISTS `c` int DEFAULT 7;
ALTER TABLE `m` CHANGE COLUMN IF EXISTS `c` `cc` smallint NOT NULL, CHANGE COLUMN IF EXISTS `never` `ever` int;
ALTER TABLE IF EXISTS `m` ALTER COLUMN IF EXISTS `cc` SET DEFAULT 3, ALTER IF EXISTS `never` SET DEFAULT 3;
ALTER TABLE `m` RENAME COLUMN IF EXISTS `cc` TO `c`, RENAME COLUMN IF EXISTS `never` TO `ever`;
ALTER TABLE `m` ADD INDEX IF NOT EXISTS `b` (`a`), ADD UNIQUE KEY IF NOT EXISTS `c_u` (`c`);
ALTER TABLE `m` RENAME INDEX IF EXISTS `c_u` TO `c_unique`, RENAME KEY IF EXISTS `never` TO `ever`;
ALTER TABLE `m` ALTER INDEX `b` IGNORED, ALTER KEY `b` NOT IGNORED;
ALTER TABLE `m` DROP INDEX IF EXISTS `c_unique`, DROP INDEX IF EXISTS `never`, DROP CONSTRAINT IF EXISTS `never`, DROP FOREIGN KEY IF EXISTS `never`;
CREATE INDEX IF NOT EXISTS `b` ON `m` (`a`);
CREATE OR REPLACE UNIQUE INDEX `b` ON `m` (`b`, `c`);
DROP INDEX IF EXISTS `b` ON `m`;
ALTER ONLINE TABLE `m` ADD `e` int, ALGORITHM=INSTANT, LOCK=NONE;
ALTER TABLE `m` WAIT 5 ADD `f` int, ALGORITHM=NOCOPY;
ALTER TABLE `m` NOWAIT DROP `f`;
RENAME TABLE IF EXISTS `never` TO `ever`, `m` TO `m2`;
RENAME TABLE `m2` WAIT 5 TO `m`;
SET STATEMENT max_statement_time = 60 FOR ALTER TABLE `m` ADD `g` varchar(10) NOT NULL DEFAULT 'g';
SET STATEMENT lock_wait_timeout = 5, sql_mode = CONCAT('', (SELECT 'STRICT_ALL_TABLES')) FOR CREATE TABLE `settings` (`for` int NOT NULL PRIMARY KEY, `statement` char(3));
SET STATEMENT lock_wait_timeout = 5 FOR DROP TABLE `settings`;
CREATE SEQUENCE `numbers` START WITH 100 INCREMENT BY 10 CACHE 1000;
ALTER SEQUENCE `numbers` RESTART 50;
ALTER TABLE `m` ADD `n` bigint DEFAULT (NEXT VALUE FOR `numbers`);
ALTER TABLE `m` DROP `n`;
RENAME TABLE `numbers` TO `digits`;
DROP SEQUENCE IF EXISTS `digits`;
CREATE TABLE `replaced` (`id` int);
CREATE OR REPLACE SEQUENCE `replaced`;
DROP TABLE `replaced`;
CREATE TABLE `types` (`u` uuid NOT NULL DEFAULT uuid(), `i4` inet4 DEFAULT NULL, `i6` inet6 DEFAULT NULL, `j` json DEFAULT NULL, `k` json NOT NULL CHECK (json_valid(`k`)), `v` vector(3) NOT NULL, PRIMARY KEY (`u`), VECTOR INDEX `near` (`v`) M=8 DISTANCE=cosine);
ALTER TABLE `types` ADD `l` json DEFAULT '{}' AFTER `j`, MODIFY `k` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL CHECK (json_valid(`k`));
CREATE TABLE `compressed` (`a` varchar(1000) COMPRESSED, `b` text COMPRESSED=zlib NOT NULL, `c` longblob COMPRESSED, `d` varchar(10) COMPRESSED CHARACTER SET latin1 DEFAULT 'd');
ALTER TABLE `compressed` MODIFY `a` varchar(1000), ADD `e` blob /*M!100301 COMPRESSED*/;
CREATE TABLE `shown` (`a` int INVISIBLE, `b` int NOT NULL, `c` varchar(10) INVISIBLE DEFAULT 'c', `d` datetime(3) DEFAULT current_timestamp(3) ON UPDATE current_timestamp(3) INVISIBLE);
ALTER TABLE `shown` MODIFY `a` int, ADD `e` timestamp NULL DEFAULT current_timestamp() ON UPDATE current_timestamp();
CREATE TABLE `computed` (`id` int PRIMARY KEY, `p` int AS (`id` + 1) PERSISTENT, `v` int GENERATED ALWAYS AS (`id` + 2) VIRTUAL INVISIBLE);
ALTER TABLE `computed` ADD `s` varchar(20) DEFAULT concat('a', 'b'), ADD `day` date DEFAULT CURRENT_DATE, ADD `now` datetime DEFAULT LOCALTIMESTAMP;
ALTER TABLE `computed` DROP `s`, DROP `day`, DROP `now`, DROP `p`, DROP `v`;
CREATE TABLE `history` (`id` int NOT NULL PRIMARY KEY, `a` int, `b` int WITHOUT SYSTEM VERSIONING) WITH SYSTEM VERSIONING;
SET STATEMENT system_versioning_alter_history = KEEP FOR ALTER TABLE `history` ADD `c` varchar(5) NOT NULL;
SET STATEMENT system_versioning_alter_history = KEEP FOR ALTER TABLE `history` DROP `c`;
ALTER TABLE `history` DROP SYSTEM VERSIONING;
ALTER TABLE `history` ADD SYSTEM VERSIONING;
CREATE TABLE `told` (`id` int, `began` timestamp(6) GENERATED ALWAYS AS ROW START INVISIBLE, `ended` timestamp(6) GENERATED ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME (`began`, `ended`), PRIMARY KEY (`id`)) WITH SYSTEM VERSIONING;
CREATE TABLE `parts` (`id` int NOT NULL) WITH SYSTEM VERSIONING PARTITION BY SYSTEM_TIME (PARTITION p0 HISTORY, PARTITION pn CURRENT);
ALTER TABLE `parts` ADD PARTITION (PARTITION p1 HISTORY);
CREATE TABLE `valid` (`id` int, `since` date, `until` date, PERIOD FOR `validity` (`since`, `until`), UNIQUE (`id`, `since`));
ALTER TABLE `valid` DROP PERIOD FOR `validity`;
ALTER TABLE `valid` ADD PERIOD FOR `validity` (`since`, `until`);
CREATE TABLE `sorted` (`a` varchar(5), `b` varchar(5) COLLATE utf8mb4_uca1400_german2_nopad_as_cs, `c` varchar(5) COLLATE uca1400_as_ci, `d` text CHARACTER SET latin1 COLLATE latin1_swedish_nopad_ci, `e` char(5) COLLATE utf8mb4_croatian_ci) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_uca1400_as_cs;
ALTER TABLE `sorted` CONVERT TO CHARACTER SET utf8mb3 COLLATE uca1400_ai_ci;
ALTER TABLE `sorted` CONVERT TO CHARACTER SET utf8mb4;
ALTER TABLE `sorted` DEFAULT CHARACTER SET utf8mb3, ADD `f` varchar(5) CHARACTER SET utf8, ADD `g` varchar(5) CHARACTER SET ucs2 BINARY;
CREATE TABLE `bytes` (`a` binary(4) DEFAULT 'ab', `b` varbinary(4) DEFAULT 'ab', `c` bit(4) DEFAULT b'11', `d` enum('x') CHARACTER SET binary, `e` decimal(6,2) DEFAULT '1.5', `f` date DEFAULT '2020-01-01', `g` char(3) DEFAULT 5, `h` year DEFAULT 2001, `i` set('a','b') DEFAULT 'b,a', `j` varchar(5) DEFAULT 'NULL');
ALTER TABLE `bytes` ALTER `e` DROP DEFAULT, ALTER `f` SET DEFAULT NULL, ADD PRIMARY KEY (`h`, `c`);
CREATE TABLE `stamped` (`a` timestamp, `b` timestamp NOT NULL DEFAULT current_timestamp() ON UPDATE current_timestamp(), `c` datetime ON UPDATE current_timestamp());
ALTER TABLE `stamped` ALTER `c` SET DEFAULT '2020-01-01';
ALTER TABLE `stamped` MODIFY `c` datetime DEFAULT now() ON UPDATE now(), ALTER `b` DROP DEFAULT;
ALTER TABLE `stamped` ALTER `c` DROP DEFAULT;
-- As mariadb-dump writes.
/*M!999999\- enable the sandbox mode */
DROP TABLE IF EXISTS `dumped`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `dumped` (
  `id` int(10) unsigned NOT NULL AUTO_INCREMENT,
  `name` varchar(191) NOT NULL DEFAULT '',
  `doc` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL CHECK (json_valid(`doc`)),
  `added` timestamp NOT NULL DEFAULT current_timestamp(),
  `changed` datetime DEFAULT NULL ON UPDATE current_timestamp(),
  `zero` datetime NOT NULL DEFAULT '0000-00-00 00:00:00',
  `flag` tinyint(1) DEFAULT 1,
  `price` decimal(10,2) NOT NULL DEFAULT 0.00,
  PRIMARY KEY (`id`),
  UNIQUE KEY `name` (`name`) USING HASH
) ENGINE=InnoDB AUTO_INCREMENT=4 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_uca1400_ai_ci PAGE_CHECKSUM=1;
/*!40000 ALTER TABLE `dumped` DISABLE KEYS */;
/*M!100101 ALTER TABLE `dumped` ADD `only` int */;
ALTER TABLE `dumped` /*!80000 ADD `never` int */ /*!50701 ADD `neither` int */ COMMENT 'x';
/*M!100616 SET NOTE_VERBOSITY=0 */;
DROP TABLE `dumped`;
