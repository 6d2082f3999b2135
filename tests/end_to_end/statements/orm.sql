-- Statements as migration tools of frameworks write them. One statement ends where a line ends with ;
-- Rails
CREATE TABLE `schema_migrations` (`version` varchar(255) NOT NULL PRIMARY KEY);
CREATE TABLE `ar_internal_metadata` (`key` varchar(255) NOT NULL PRIMARY KEY, `value` varchar(255), `created_at` datetime(6) NOT NULL, `updated_at` datetime(6) NOT NULL);
CREATE TABLE `users` (`id` bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, `email` varchar(255) DEFAULT '' NOT NULL, `encrypted_password` varchar(255) DEFAULT '' NOT NULL, `sign_in_count` int DEFAULT 0 NOT NULL, `admin` tinyint(1) DEFAULT 0, `created_at` datetime(6) NOT NULL, `updated_at` datetime(6) NOT NULL, UNIQUE INDEX `index_users_on_email` (`email`));
CREATE TABLE `articles` (`id` bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, `title` varchar(255), `body` text, `user_id` bigint NOT NULL, `published` tinyint(1) DEFAULT FALSE NOT NULL, `created_at` datetime(6) NOT NULL, INDEX `index_articles_on_user_id` (`user_id`), CONSTRAINT `fk_rails_3d31dad1cc` FOREIGN KEY (`user_id`) REFERENCES `users` (`id`));
ALTER TABLE `users` ADD `name` varchar(255);
ALTER TABLE `users` ADD `age` int(3) DEFAULT NULL AFTER `name`;
ALTER TABLE `users` CHANGE `name` `full_name` varchar(191) DEFAULT NULL;
ALTER TABLE `users` CHANGE `sign_in_count` `sign_in_count` bigint DEFAULT 0 NOT NULL;
ALTER TABLE `articles` ADD COLUMN `views` int UNSIGNED DEFAULT 0 NOT NULL, ADD INDEX `index_articles_on_views` (`views`);
CREATE INDEX `index_users_on_full_name` ON `users` (`full_name`);
CREATE UNIQUE INDEX `index_articles_on_title_and_user` ON `articles` (`title`(100), `user_id`);
ALTER TABLE `articles` DROP FOREIGN KEY `fk_rails_3d31dad1cc`;
DROP INDEX `index_articles_on_views` ON `articles`;
ALTER TABLE `articles` RENAME INDEX `index_articles_on_user_id` TO `index_articles_on_author_id`;
-- servers: mysql80 mariadb
ALTER TABLE `articles` RENAME COLUMN `user_id` TO `author_id`;
ALTER TABLE `articles` ALTER COLUMN `published` SET DEFAULT TRUE;
ALTER TABLE `articles` ALTER `views` DROP DEFAULT;
RENAME TABLE `articles` TO `posts`;
ALTER TABLE `posts` DROP `body`, DROP `views`;
ALTER TABLE `posts` ADD `metadata` json;
ALTER TABLE `posts` ADD `price` decimal(8,2) DEFAULT 0.0 NOT NULL;
ALTER TABLE `posts` ADD `slug` varchar(80) CHARACTER SET ascii COLLATE ascii_bin DEFAULT 'none' NOT NULL;
CREATE TABLE `categories_posts` (`category_id` bigint NOT NULL, `post_id` bigint NOT NULL);
CREATE TABLE `active_storage_blobs` (`id` bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, `key` varchar(255) NOT NULL, `filename` varchar(255) NOT NULL, `content_type` varchar(255), `metadata` text, `byte_size` bigint NOT NULL, `checksum` varchar(255), `created_at` datetime(6) NOT NULL, UNIQUE INDEX `index_active_storage_blobs_on_key` (`key`));
-- Django
CREATE TABLE `django_migrations` (`id` bigint AUTO_INCREMENT NOT NULL PRIMARY KEY, `app` varchar(255) NOT NULL, `name` varchar(255) NOT NULL, `applied` datetime(6) NOT NULL);
CREATE TABLE `auth_user` (`id` integer AUTO_INCREMENT NOT NULL PRIMARY KEY, `password` varchar(128) NOT NULL, `last_login` datetime(6) NULL, `is_superuser` bool NOT NULL, `username` varchar(150) NOT NULL UNIQUE, `first_name` varchar(150) NOT NULL, `email` varchar(254) NOT NULL, `date_joined` datetime(6) NOT NULL);
CREATE TABLE `auth_group` (`id` integer AUTO_INCREMENT NOT NULL PRIMARY KEY, `name` varchar(150) NOT NULL UNIQUE);
CREATE TABLE `auth_user_groups` (`id` bigint AUTO_INCREMENT NOT NULL PRIMARY KEY, `user_id` integer NOT NULL, `group_id` integer NOT NULL);
ALTER TABLE `auth_user_groups` ADD CONSTRAINT `auth_user_groups_user_id_group_id_uniq` UNIQUE (`user_id`, `group_id`);
ALTER TABLE `auth_user_groups` ADD CONSTRAINT `auth_user_groups_user_id_fk` FOREIGN KEY (`user_id`) REFERENCES `auth_user` (`id`);
CREATE TABLE `django_session` (`session_key` varchar(40) NOT NULL PRIMARY KEY, `session_data` longtext NOT NULL, `expire_date` datetime(6) NOT NULL);
CREATE INDEX `django_session_expire_date_a5c62663` ON `django_session` (`expire_date`);
ALTER TABLE `auth_user` ADD COLUMN `is_staff` bool DEFAULT b'0' NOT NULL;
ALTER TABLE `auth_user` ALTER COLUMN `is_staff` DROP DEFAULT;
ALTER TABLE `auth_user` ADD COLUMN `bio` longtext NULL;
ALTER TABLE `auth_user` MODIFY `first_name` varchar(200) NOT NULL;
ALTER TABLE `auth_user` MODIFY `email` varchar(254) NULL;
ALTER TABLE `auth_user` CHANGE `bio` `about` longtext NULL;
ALTER TABLE `auth_user` DROP COLUMN `about`;
ALTER TABLE `auth_user` ADD COLUMN `balance` numeric(12, 4) DEFAULT 0.5 NOT NULL;
ALTER TABLE `auth_user` ADD COLUMN `uuid` char(32) DEFAULT '00000000000000000000000000000000' NOT NULL UNIQUE;
ALTER TABLE `auth_user` ADD COLUMN `rating` double precision NULL;
ALTER TABLE `auth_user` ADD COLUMN `rank` smallint UNSIGNED NULL CHECK (`rank` >= 0);
RENAME TABLE `auth_user_groups` TO `auth_user_teams`;
ALTER TABLE `auth_user_teams` ADD KEY `user` (`user_id`), DROP INDEX `auth_user_groups_user_id_group_id_uniq`, ADD UNIQUE `teams_uniq` (`group_id`, `user_id`);
DROP TABLE `django_session` CASCADE;
-- Laravel
create table `migrations` (`id` int unsigned not null auto_increment primary key, `migration` varchar(255) not null, `batch` int not null) default character set utf8mb4 collate 'utf8mb4_unicode_ci';
create table `jobs` (`id` bigint unsigned not null auto_increment primary key, `queue` varchar(255) not null, `payload` longtext not null, `attempts` tinyint unsigned not null, `reserved_at` int unsigned null, `available_at` int unsigned not null, `created_at` int unsigned not null) default character set utf8mb4 collate 'utf8mb4_unicode_ci';
alter table `jobs` add index `jobs_queue_index`(`queue`);
create table `password_resets` (`email` varchar(255) not null, `token` varchar(255) not null, `created_at` timestamp null) default character set utf8mb4 collate 'utf8mb4_unicode_ci' engine = InnoDB;
alter table `password_resets` add primary key (`email`);
create table `personal_access_tokens` (`id` bigint unsigned not null auto_increment primary key, `tokenable_type` varchar(255) not null, `tokenable_id` bigint unsigned not null, `name` varchar(255) not null, `token` varchar(64) not null, `abilities` text null, `last_used_at` timestamp null, `created_at` timestamp null default CURRENT_TIMESTAMP, `updated_at` timestamp null default CURRENT_TIMESTAMP on update CURRENT_TIMESTAMP) default character set utf8mb4 collate 'utf8mb4_unicode_ci';
alter table `personal_access_tokens` add index `pat_tokenable_index`(`tokenable_type`, `tokenable_id`);
alter table `personal_access_tokens` add unique `pat_token_unique`(`token`);
create table `failed_jobs` (`id` bigint unsigned not null auto_increment primary key, `uuid` varchar(255) not null, `exception` longtext not null, `failed_at` timestamp not null default CURRENT_TIMESTAMP) default character set utf8mb4 collate 'utf8mb4_unicode_ci';
alter table `failed_jobs` add unique `failed_jobs_uuid_unique`(`uuid`);
alter table `jobs` add `priority` enum('low', 'normal', 'high') not null default 'normal' after `queue`;
alter table `jobs` add `flags` set('a', 'b', 'c') not null default '';
alter table `jobs` add `progress` float(8, 2) null, add `cost` double(12, 3) not null default '0';
alter table `jobs` modify `priority` enum('low', 'normal', 'high', 'urgent') not null default 'normal';
alter table `jobs` drop `progress`;
alter table `jobs` add `deleted_at` timestamp null;
alter table `jobs` add `tags` json not null;
alter table `jobs` add `location` geometry null, add `point` point null;
alter table `jobs` add `starts` time null, add `day` date null, add `year` year null, add `payload_md5` binary(16) null;
alter table `jobs` drop index `jobs_queue_index`;
alter table `jobs` rename to `queued_jobs`;
drop table if exists `failed_jobs`;
-- Hibernate
create table hibernate_sequence (next_val bigint) engine=InnoDB;
create table customer (id bigint not null auto_increment, active bit not null, amount decimal(19,2), birth_date date, created datetime(6), first_name varchar(255), picture tinyblob, score double precision, status integer, primary key (id)) engine=InnoDB;
create table orders (id bigint not null, customer_id bigint, note varchar(255), primary key (id)) engine=InnoDB;
alter table orders add constraint FK624gtjin3po807j3vix093tlf foreign key (customer_id) references customer (id);
alter table customer add constraint UK_dwk6cx0afu8bs9o4t536v1j5v unique (first_name);
alter table customer add column email varchar(255) not null;
alter table orders modify column note text;
-- SQLAlchemy and Alembic
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num));
CREATE TABLE account (
	id INTEGER NOT NULL AUTO_INCREMENT, 
	name VARCHAR(50) NOT NULL, 
	description TEXT, 
	kind ENUM('personal','business') NOT NULL, 
	is_open BOOL NOT NULL DEFAULT true, 
	opened DATETIME DEFAULT now(), 
	ratio FLOAT, 
	PRIMARY KEY (id), 
	UNIQUE (name)
);
ALTER TABLE account ADD COLUMN last_transaction_date DATETIME;
ALTER TABLE account CHANGE description details MEDIUMTEXT NULL COMMENT 'it''s a "note", with (brackets)';
ALTER TABLE account MODIFY name VARCHAR(100) NOT NULL COLLATE utf8mb4_bin;
CREATE INDEX ix_account_kind ON account (kind);
DROP INDEX ix_account_kind ON account;
ALTER TABLE account DROP COLUMN last_transaction_date;
CREATE TABLE account_history (account_id INTEGER NOT NULL, at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3), change_text TEXT(500), PRIMARY KEY (account_id, at), FOREIGN KEY(account_id) REFERENCES account (id) ON DELETE CASCADE);
-- Prisma
CREATE TABLE `User` (
    `id` INTEGER NOT NULL AUTO_INCREMENT,
    `createdAt` DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    `email` VARCHAR(191) NOT NULL,
    `role` ENUM('USER', 'ADMIN') NOT NULL DEFAULT 'USER',
    `settings` JSON NULL,
    UNIQUE INDEX `User_email_key`(`email`),
    PRIMARY KEY (`id`)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
ALTER TABLE `User` ADD COLUMN `avatar` LONGBLOB NULL,
    MODIFY `role` ENUM('USER', 'ADMIN', 'OWNER') NOT NULL DEFAULT 'USER';
DROP INDEX `User_email_key` ON `User`;
CREATE UNIQUE INDEX `User_email_role_key` ON `User`(`email`, `role`);
-- Sequelize, TypeORM, Flyway, Liquibase
CREATE TABLE IF NOT EXISTS `Products` (`id` INTEGER NOT NULL auto_increment , `title` VARCHAR(255), `price` FLOAT DEFAULT 9.99, `uuid` CHAR(36) BINARY, `isActive` TINYINT(1) DEFAULT true, `createdAt` DATETIME NOT NULL, PRIMARY KEY (`id`)) ENGINE=InnoDB;
ALTER TABLE `Products` ADD `stock` INTEGER NOT NULL DEFAULT 0;
ALTER TABLE `Products` CHANGE `title` `title` VARCHAR(255) NOT NULL;
CREATE TABLE `photo` (`id` int NOT NULL AUTO_INCREMENT, `name` varchar(500) NOT NULL, `views` int NOT NULL DEFAULT '0', `isPublished` tinyint NOT NULL, INDEX `IDX_name` (`name`), FULLTEXT INDEX `IDX_full` (`name`), PRIMARY KEY (`id`)) ENGINE=InnoDB;
ALTER TABLE `photo` ADD UNIQUE INDEX `IDX_u` (`views`);
ALTER TABLE `photo` DROP PRIMARY KEY, ADD PRIMARY KEY (`id`, `views`);
CREATE TABLE `flyway_schema_history` (`installed_rank` INT NOT NULL, `version` VARCHAR(50), `description` VARCHAR(200) NOT NULL, `type` VARCHAR(20) NOT NULL, `script` VARCHAR(1000) NOT NULL, `checksum` INT, `installed_by` VARCHAR(100) NOT NULL, `installed_on` TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, `execution_time` INT NOT NULL, `success` BOOL NOT NULL, CONSTRAINT `flyway_schema_history_pk` PRIMARY KEY (`installed_rank`)) ENGINE=InnoDB;
CREATE INDEX `flyway_schema_history_s_idx` ON `flyway_schema_history` (`success`);
CREATE TABLE DATABASECHANGELOGLOCK (ID INT NOT NULL, `LOCKED` BIT(1) NOT NULL, LOCKGRANTED datetime NULL, LOCKEDBY VARCHAR(255) NULL, CONSTRAINT PK_DATABASECHANGELOGLOCK PRIMARY KEY (ID));
CREATE TABLE DATABASECHANGELOG (ID VARCHAR(255) NOT NULL, AUTHOR VARCHAR(255) NOT NULL, DATEEXECUTED datetime NOT NULL, ORDEREXECUTED INT NOT NULL, MD5SUM VARCHAR(35) NULL);
ALTER TABLE DATABASECHANGELOG ADD LABELS VARCHAR(255) NULL;
