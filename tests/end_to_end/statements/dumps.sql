-- What mysqldump and applications' installers write.
DROP TABLE IF EXISTS `wp_posts`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
CREATE TABLE `wp_posts` (
  `ID` bigint(20) unsigned NOT NULL AUTO_INCREMENT,
  `post_author` bigint(20) unsigned NOT NULL DEFAULT '0',
  `post_date` datetime NOT NULL DEFAULT '0000-00-00 00:00:00',
  `post_content` longtext COLLATE utf8mb4_unicode_ci NOT NULL,
  `post_title` text COLLATE utf8mb4_unicode_ci NOT NULL,
  `post_status` varchar(20) COLLATE utf8mb4_unicode_ci NOT NULL DEFAULT 'publish',
  `post_parent` bigint(20) unsigned NOT NULL DEFAULT '0',
  `menu_order` int(11) NOT NULL DEFAULT '0',
  PRIMARY KEY (`ID`),
  KEY `type_status_date` (`post_status`,`post_date`,`ID`),
  KEY `post_parent` (`post_parent`)
) ENGINE=InnoDB AUTO_INCREMENT=4 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;
/*!40000 ALTER TABLE `wp_posts` DISABLE KEYS */;
/*!40000 ALTER TABLE `wp_posts` ENABLE KEYS */;
CREATE TABLE `wp_options` (
  `option_id` bigint(20) unsigned NOT NULL auto_increment,
  `option_name` varchar(191) NOT NULL default '',
  `option_value` longtext NOT NULL,
  `autoload` varchar(20) NOT NULL default 'yes',
  PRIMARY KEY  (`option_id`),
  UNIQUE KEY `option_name` (`option_name`),
  KEY `autoload` (`autoload`)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci;
CREATE TABLE `edges` (
  `tiny` tinyint(4) DEFAULT NULL,
  `small` smallint(5) unsigned zerofill DEFAULT '00042',
  `medium` mediumint(8) unsigned DEFAULT NULL,
  `n` int(10) unsigned zerofill NOT NULL DEFAULT 7,
  `b` bigint DEFAULT -9223372036854775808,
  `d` decimal(65,30) DEFAULT NULL,
  `e` decimal(5,0) DEFAULT -12,
  `f` float unsigned DEFAULT 1.5,
  `g` double DEFAULT -0.25,
  `bits` bit(10) DEFAULT b'1111',
  `c` char(3) CHARACTER SET latin1 DEFAULT 'abc',
  `v` varchar(10) CHARACTER SET gbk DEFAULT 'x',
  `vb` varbinary(20) DEFAULT NULL,
  `dt` datetime(6) DEFAULT '2020-02-29 12:00:00.5',
  `da` date DEFAULT '1000-01-01',
  `ti` time(2) DEFAULT '10:11:12',
  `y` year(4) DEFAULT 2026,
  `s` set('a','b','c') DEFAULT 'c,a',
  `en` enum('one','two''s','back\\slash') DEFAULT NULL,
  `empty` varchar(5) NOT NULL DEFAULT ''
) ENGINE=MyISAM DEFAULT CHARSET=latin1 CHECKSUM=1 DELAY_KEY_WRITE=1 ROW_FORMAT=DYNAMIC MAX_ROWS=1000 AVG_ROW_LENGTH=100 PACK_KEYS=0 COMMENT='all; kinds, of (things)';
CREATE TABLE `spatial` (`id` int NOT NULL, `g` geometry NOT NULL, `p` point NOT NULL, `l` linestring DEFAULT NULL, `mp` multipolygon DEFAULT NULL, `gc` geometrycollection DEFAULT NULL, PRIMARY KEY (`id`), SPATIAL KEY `g` (`p`)) ENGINE=InnoDB;
CREATE TABLE `national` (a NATIONAL CHARACTER(5), b NCHAR, c NATIONAL VARCHAR(7), d NCHAR VARYING(8), e NVARCHAR(9), f CHARACTER VARYING(3), g LONG, h LONG VARBINARY, i CHAR(5) ASCII, j TEXT UNICODE, k CHAR(3) BYTE);
CREATE TABLE `synonyms` (a INT1, b INT2 UNSIGNED, c INT3, d INT4, e INT8, f MIDDLEINT, g FLOAT4, h FLOAT8, i REAL, j DEC, k FIXED(5), l BOOLEAN, m SERIAL, n CHARACTER, o DOUBLE PRECISION UNSIGNED, p FLOAT(24), q FLOAT(25));
CREATE TABLE `sized` (a TEXT(10), b TEXT(100), c TEXT(70000), d BLOB(10), e BLOB(300), f BLOB(70000), g BLOB(17000000), h TEXT(300) CHARACTER SET latin1);
CREATE TABLE `binary_text` (a CHAR(5) CHARACTER SET binary, b VARCHAR(5) CHARACTER SET binary, c TEXT CHARACTER SET binary, d ENUM('x') CHARACTER SET binary, e MEDIUMTEXT CHARACTER SET binary) DEFAULT CHARSET=utf8mb4;
CREATE TABLE `all_binary` (a CHAR(5), b VARCHAR(5), c TEXT, d ENUM('x')) CHARSET=binary;
CREATE TABLE `old_utf8` (a CHAR(5), b VARCHAR(5) CHARACTER SET utf8, c TEXT COLLATE utf8_bin) DEFAULT CHARSET=utf8 COLLATE=utf8_unicode_ci;
CREATE TABLE `stamps` (`a` timestamp NULL DEFAULT NULL, `b` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3), `c` datetime DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, `d` timestamp NOT NULL DEFAULT '0000-00-00 00:00:00', `e` datetime ON UPDATE NOW());
CREATE TABLE `from_type_to_name` (`type` int, `key` int, `comment` varchar(10), `date` date, `time` time, `timestamp` datetime, `status` int, `order` int, `begin_at` int, `end` int, KEY `key` (`key`), KEY (`order`));
CREATE TABLE `quoted``tick` (`a``b` int, `c"d` int, `e.f` int, `ünïcode` int, `数据` varchar(5) DEFAULT '数据', `emoji` varchar(9) DEFAULT 'é');
CREATE TABLE IF NOT EXISTS `wp_options` (`a` int);
ALTER TABLE `quoted``tick` ADD `g;h` int /* not ; the end */, DROP `a``b`;
DROP TABLE `quoted``tick`;
-- servers: mysql80 mysql57
CREATE TABLE `generated` (`id` int NOT NULL, `doubled` int GENERATED ALWAYS AS (`id` * 2) VIRTUAL, `full` varchar(20) GENERATED ALWAYS AS (concat(`id`,_utf8mb4' x')) STORED NOT NULL, PRIMARY KEY (`id`));
-- servers: mariadb
CREATE TABLE `generated` (`id` int NOT NULL, `doubled` int GENERATED ALWAYS AS (`id` * 2) VIRTUAL, `full` varchar(20) GENERATED ALWAYS AS (concat(`id`,_utf8mb4' x')) STORED, PRIMARY KEY (`id`));
CREATE TABLE `unkeyed` (a int, b int NOT NULL, c int NOT NULL, UNIQUE (a), UNIQUE bc (b, c), UNIQUE (c));
ALTER TABLE `unkeyed` MODIFY a int NOT NULL;
ALTER TABLE `unkeyed` DROP INDEX bc;
ALTER TABLE `unkeyed` DROP COLUMN c;
ALTER TABLE `unkeyed` ADD UNIQUE prefix (a, b), DROP KEY a;
CREATE TABLE `prefixed` (a varchar(20) NOT NULL, b varchar(20) NOT NULL, UNIQUE part (a(5)), UNIQUE whole (b(20)));
CREATE TABLE `copies` LIKE `prefixed`;
ALTER TABLE `copies` DROP KEY whole;
CREATE TABLE `selected` AS SELECT 1 AS one, 'x' AS letter;
CREATE TABLE `selected2` (id INT PRIMARY KEY) SELECT 2 AS id, 'y' AS letter;
DROP TABLES `selected`, `selected2`;
CREATE TABLE `ends` (`id` int) COMMENT 'START TRANSACTION' ENGINE InnoDB;
ALTER TABLE `ends` COMMENT = 'x', ENGINE = MyISAM;
ALTER TABLE `ends` ENGINE InnoDB ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=8;
ALTER TABLE `wp_options` CONVERT TO CHARACTER SET latin1;
ALTER TABLE `wp_options` CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
ALTER TABLE `wp_options` DEFAULT CHARACTER SET latin1;
ALTER TABLE `wp_options` ADD `plain` varchar(10);
ALTER TABLE `wp_options` COLLATE latin1_bin, ADD `binary_sorted` varchar(10);
ALTER TABLE `wp_options` CHARACTER SET = utf8mb4, MODIFY `plain` varchar(10);
CREATE TABLE `texts` (a tinytext, b text, c mediumtext, d longtext, e char(10), f enum('a','b')) CHARSET=latin1;
ALTER TABLE `texts` CONVERT TO CHARACTER SET utf8mb4;
ALTER TABLE `texts` CONVERT TO CHARACTER SET utf8mb4;
ALTER TABLE `texts` CONVERT TO CHARACTER SET latin1;
CREATE TABLE `accents` (e enum('a','é')) CHARSET=latin1;
ALTER TABLE `accents` CONVERT TO CHARACTER SET utf8mb4;
DROP TABLE `accents`;
CREATE DATABASE IF NOT EXISTS `{database}_other` /*!40100 DEFAULT CHARACTER SET latin1 */;
CREATE TABLE `{database}_other`.`t` (a varchar(5), b text);
ALTER DATABASE `{database}_other` CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci;
CREATE TABLE `{database}_other`.`u` (a varchar(5), b text COLLATE utf8mb4_bin);
RENAME TABLE `{database}_other`.`t` TO `moved`, `{database}_other`.`u` TO `{database}_other`.`t`;
ALTER TABLE `moved` ADD c varchar(5);
ALTER TABLE `moved` CHARACTER SET = latin1, ADD d varchar(5);
DROP DATABASE `{database}_other`;
CREATE SCHEMA `{database}_other` CHARSET = utf8mb4;
CREATE TABLE `{database}_other`.`t` (a varchar(5));
DROP SCHEMA IF EXISTS `{database}_other`;
