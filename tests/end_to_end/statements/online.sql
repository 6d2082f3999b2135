-- The statements of gh-ost and pt-online-schema-change.
CREATE TABLE `sbtest` (`id` int NOT NULL AUTO_INCREMENT, `k` int NOT NULL DEFAULT '0', `c` char(120) NOT NULL DEFAULT '', `pad` char(60) NOT NULL DEFAULT '', PRIMARY KEY (`id`), KEY `k_1` (`k`));
create /* gh-ost */ table `{database}`.`_sbtest_ghc` (
			id bigint unsigned auto_increment,
			last_update timestamp not null DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
			hint varchar(64) charset ascii not null,
			value varchar(4096) charset ascii not null,
			primary key(id),
			unique key hint_uidx(hint)
		) auto_increment=256
		comment='gh-ost metadata';
create /* gh-ost */ table `{database}`.`_sbtest_gho` like `{database}`.`sbtest`;
alter /* gh-ost */ table `{database}`.`_sbtest_gho` add column `d` int not null default 0, modify `k` bigint not null;
create /* gh-ost */ table `{database}`.`_sbtest_del` (
			id int auto_increment primary key
		) engine=InnoDB comment='ghost-cut-over-sentry';
drop /* gh-ost */ table if exists `{database}`.`_sbtest_del`;
rename /* gh-ost */ table `{database}`.`sbtest` to `{database}`.`_sbtest_del`, `{database}`.`_sbtest_gho` to `{database}`.`sbtest`;
drop /* gh-ost */ table if exists `{database}`.`_sbtest_ghc`;
drop /* gh-ost */ table if exists `{database}`.`_sbtest_del`;
CREATE TABLE `{database}`.`_sbtest_new` (
  `id` int NOT NULL AUTO_INCREMENT,
  `k` bigint NOT NULL,
  `c` char(120) NOT NULL DEFAULT '',
  `pad` char(60) NOT NULL DEFAULT '',
  `d` int NOT NULL DEFAULT '0',
  PRIMARY KEY (`id`),
  KEY `k_1` (`k`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
ALTER TABLE `{database}`.`_sbtest_new` ADD COLUMN e varchar(20) NOT NULL DEFAULT 'x', DROP COLUMN pad;
CREATE TRIGGER `pt_osc_sbtest_del` AFTER DELETE ON `{database}`.`sbtest` FOR EACH ROW BEGIN DECLARE CONTINUE HANDLER FOR 1146 begin end; DELETE IGNORE FROM `{database}`.`_sbtest_new` WHERE `{database}`.`_sbtest_new`.`id` <=> OLD.`id`; END;
CREATE TRIGGER `pt_osc_sbtest_ins` AFTER INSERT ON `{database}`.`sbtest` FOR EACH ROW REPLACE INTO `{database}`.`_sbtest_new` (`id`, `k`, `c`, `d`) VALUES (NEW.`id`, NEW.`k`, NEW.`c`, NEW.`d`);
ANALYZE TABLE `{database}`.`_sbtest_new` /* pt-online-schema-change */;
RENAME TABLE `{database}`.`sbtest` TO `{database}`.`_sbtest_old`, `{database}`.`_sbtest_new` TO `{database}`.`sbtest`;
DROP TABLE IF EXISTS `{database}`.`_sbtest_old`;
DROP TRIGGER IF EXISTS `{database}`.`pt_osc_sbtest_del`;
DROP TRIGGER IF EXISTS `{database}`.`pt_osc_sbtest_ins`;
CREATE TABLE `swap_a` (`a` int NOT NULL PRIMARY KEY);
CREATE TABLE `swap_b` (`b` varchar(5) NOT NULL PRIMARY KEY);
RENAME TABLE `swap_a` TO `swap_t`, `swap_b` TO `swap_a`, `swap_t` TO `swap_b`;
ALTER TABLE `swap_a` ADD `c` int, RENAME TO `swap_c`, ADD `d` int;
ALTER TABLE `swap_c` RENAME = `swap_a`;
ALTER TABLE `swap_a` RENAME AS `swap_c`, ALGORITHM=INPLACE;
