# Shared by the scripts beside it: where things lie, and how a server of a set is started, awaited and stopped.
# shellcheck shell=bash
STACK=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
STACK_HOME=${BINLOG_BRIDGE_STACK_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/binlog-bridge/stack}
JAVA=${JAVA_HOME:+$JAVA_HOME/bin/}java
KAFKA=$STACK_HOME/dist/kafka-4.3.1
REGISTRY=$STACK_HOME/dist/apicurio-2.6.13.Final
# The folder of each kind of MySQL server. mysql9 is what Debian sid has, whose version moves: the server says it.
declare -A SERVERS=(
  [mysql80]=mysql-8.0.31 [mysql8015]=mysql-8.0.15 [mysql57]=mysql-5.7.22 [mysql56]=mysql-5.6.24 [mysql55]=mysql-5.5.9
  [mysql9]=mysql-9 [mariadb]=mariadb-11.8 [mariadb1011]=mariadb-10.11
)
KINDS=(mysql80 mysql8015 mysql57 mysql56 mysql55 mariadb mariadb1011 mysql9)

fail() {
  echo "$*" >&2
  exit 1
}

# Sets SET_DIR. The name becomes a folder that is removed later, so it may not lead out of sets/.
use_set() { # SET
  [[ $1 =~ ^[A-Za-z0-9][A-Za-z0-9_-]*$ ]] || fail "the name of a set has only letters, digits, - and _: '$1'"
  SET_DIR=$STACK_HOME/sets/$1
}

use_existing_set() { # SET
  use_set "$1"
  [[ -f $SET_DIR/ports ]] || fail "there is no set '$1': tests/stack/up $1"
}

check_kind() { # KIND
  [[ " ${KINDS[*]} " = *" $1 "* ]] || fail "unknown kind of server '$1': ${KINDS[*]}"
}

has_server() { # KIND
  [[ -d $STACK_HOME/dist/${SERVERS[$1]} ]]
}

# Makes the folder of a fresh set. Whatever ends the script before the set is ready, Ctrl-C too, takes with it what it
# had started.
begin_set() { # KIND [mysqld option...]
  [[ -x $STACK_HOME/venv/bin/python ]] || fail "the Python packages are not here yet: tests/stack/install"
  remove_set
  mkdir -p "$SET_DIR"
  trap remove_set EXIT
  trap 'exit 130' INT TERM
  echo "$1" > "$SET_DIR/mysql.kind"
  shift
  printf '%s\n' "$@" > "$SET_DIR/mysql.options"
  [[ $# -gt 0 ]] || : > "$SET_DIR/mysql.options"
}

# Waits until all its servers answer.
end_set() {
  # shellcheck disable=SC2046 # names without spaces
  await $(services)
  write_env
  trap - EXIT
  cat "$SET_DIR/env"
}

# The servers of a set: kafka mysql registry, and kafka-2 and kafka-3 where it has three brokers.
services() {
  sed -nE 's/^(kafka(-[23])?|mysql|registry)=.*/\1/p' "$SET_DIR/ports"
}

brokers() {
  services | grep '^kafka'
}

check_service() { # SERVICE
  services | grep -qx -e "$1" || fail "unknown service '$1': $(services | paste -sd ' ')"
}

port_of() { # SERVICE or another name of the file
  sed -n "s/^$1=//p" "$SET_DIR/ports"
}

# Ports that nobody listens on and no other set has. They lie below the range from which the system takes
# the ports of outgoing connections: a server that is down for a while finds its port free when it comes back.
choose_ports() { # NAME...
  local port=$((20000 + RANDOM % 10000)) name
  exec 9>"$STACK_HOME/ports.lock"
  flock 9
  for name in "$@"; do
    while grep -qs "=$port\$" "$STACK_HOME"/sets/*/ports || (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
      port=$((port + 1))
    done
    echo "$name=$port" >> "$SET_DIR/ports"
  done
  exec 9>&-
}

# The pid of a server, if it lives and still is the one that was started for this set: its command line names
# the folder of the set. (Empty for a process that has ended but was not collected by its parent.)
pid_of() { # SERVICE
  local pid
  [[ -f $SET_DIR/$1.pid ]] || return 0
  pid=$(<"$SET_DIR/$1.pid")
  if tr '\0' ' ' 2>/dev/null < "/proc/$pid/cmdline" | grep -qF "$SET_DIR/"; then echo "$pid"; fi
}

# A session of its own keeps Ctrl-C in the caller's terminal away from the servers. In a set with clocks each server's
# is as far from the true one as the file SERVICE.clock says.
run_server() { # SERVICE COMMAND...
  local service=$1 clock=()
  shift
  [[ ! -f $SET_DIR/clock.so ]] || clock=(env LD_PRELOAD="$SET_DIR/clock.so" CLOCK_OFFSET_FILE="$SET_DIR/$service.clock")
  setsid nohup "${clock[@]}" "$@" >> "$SET_DIR/$service.log" 2>&1 < /dev/null 9>&- &
  echo $! > "$SET_DIR/$service.pid"
  disown # else the shell reports on the terminal how the server ended
}

launch() { # SERVICE
  local options=()
  case $1 in
    kafka | kafka-*)
      [[ $(brokers | wc -l) != 1 ]] && options=(-Xmx256m) || options=(-Xms256m -Xmx512m)
      run_server "$1" "$JAVA" "${options[@]}" -XX:+UseSerialGC \
        -Dlog4j2.configurationFile="$STACK/log4j2.properties" -cp "$KAFKA/*" kafka.Kafka "$SET_DIR/$1.properties"
      ;;
    mysql)
      mapfile -t options < "$SET_DIR/mysql.options"
      use_server "$(cat "$SET_DIR/mysql.kind" 2> /dev/null || echo mysql80)"
      find_in_any_case "$SET_DIR/mysql"
      # Left by a server that was killed; the pid in it may look alive for a moment.
      rm -f "$SET_DIR/mysql/mysql.sock.lock"
      mkdir -p "$SET_DIR/tmp"
      # The socket is named relative to the data directory: a full path may be too long for the system.
      run_server mysql "${SERVER[@]}" "${SERVER_BASE[@]}" --datadir="$SET_DIR/mysql" \
        --bind-address=127.0.0.1 --port="$(port_of mysql)" --socket=mysql.sock --server-id="$(port_of mysql)" \
        --log-bin=binlog --binlog-format=ROW --sync-binlog=1 --secure-file-priv= \
        "${SERVER_LOG[@]}" "${options[@]}"
      ;;
    registry)
      # The database lies in a file, so that subjects and schema ids survive a restart.
      run_server registry env REGISTRY_LOG_LEVEL=WARN LOG_LEVEL=WARN "$JAVA" -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
        -Dquarkus.http.host=127.0.0.1 -Dquarkus.http.port="$(port_of registry)" \
        -Dquarkus.datasource.jdbc.url="jdbc:h2:file:$SET_DIR/registry/db;WRITE_DELAY=0" \
        -jar "$REGISTRY"/apicurio-registry-app-*-runner.jar
      ;;
  esac
}

# Sets what the kinds of server do not share: SERVER_HOME, its folder; SERVER, its command; SERVER_BASE, options that the
# initialisation of a data directory needs too; SERVER_LOG, options of the logs.
use_server() { # KIND
  check_kind "$1"
  SERVER_HOME=$STACK_HOME/dist/${SERVERS[$1]}
  SERVER=("$SERVER_HOME/bin/mysqld")
  SERVER_BASE=(--no-defaults --innodb-buffer-pool-size=128M --basedir="$SERVER_HOME")
  [[ $EUID != 0 ]] || SERVER_BASE+=(--user=root)
  SERVER_LOG=(--binlog-row-image=FULL --gtid-mode=ON --enforce-gtid-consistency=ON)
  case $1 in
    mysql55) SERVER_LOG=(--log-slave-updates --log-warnings=2) ;;
    mysql56 | mysql57) # of themselves they look for libraries in the system only
      SERVER=(env LD_LIBRARY_PATH="$SERVER_HOME/lib" "${SERVER[@]}")
      SERVER_LOG+=(--log-slave-updates)
      [[ $1 = mysql56 ]] && SERVER_LOG+=(--log-warnings=2) || SERVER_LOG+=(--log-error-verbosity=3)
      ;;
    mysql8015)
      SERVER_BASE+=(--mysqlx=0)
      SERVER_LOG+=(--binlog-row-metadata=FULL --log-error-verbosity=3)
      ;;
    mysql80 | mysql9)
      [[ $1 = mysql80 ]] || use_packages mysqld
      SERVER_BASE+=(--mysqlx=0 --innodb-redo-log-capacity=64M)
      SERVER_LOG+=(--binlog-row-metadata=FULL --log-error-verbosity=3)
      ;;
    mariadb*)
      use_packages mariadbd
      SERVER_BASE+=(--lc-messages-dir="$(mariadb_share)")
      SERVER_LOG=(--binlog-row-image=FULL --binlog-row-metadata=FULL --log-slave-updates --tmpdir="$SET_DIR/tmp")
      ;;
  esac
}

# A server of another release of Debian, with the loader and the libraries of that release.
use_packages() { # PROGRAM
  local libraries=$SERVER_HOME/usr/lib/x86_64-linux-gnu older=$SERVER_HOME/lib/x86_64-linux-gnu loader=ld-linux-x86-64.so.2
  [[ -f $libraries/$loader ]] && loader=$libraries/$loader || loader=$older/$loader
  SERVER=("$loader" --library-path "$libraries:$older" "$SERVER_HOME/usr/sbin/$1")
  SERVER_BASE+=(--basedir="$SERVER_HOME/usr")
}

mariadb_share() { # older releases have MySQL's name for it
  [[ -d $SERVER_HOME/usr/share/mariadb ]] && echo "$SERVER_HOME/usr/share/mariadb" || echo "$SERVER_HOME/usr/share/mysql"
}

# In a set whose MySQL has files of names in any case.
find_in_any_case() { # FOLDER
  [[ ! -f $SET_DIR/any_case.so ]] || SERVER=(env LD_PRELOAD="$SET_DIR/any_case.so" ANY_CASE_FOLDER="$1" "${SERVER[@]}")
}

# Makes a template unless it is there; one process makes it while others wait.
once() { # TARGET FUNCTION ARGUMENT...
  local target=$1
  mkdir -p "${target%/*}"
  exec 8>"$target.lock"
  flock 8
  if [[ ! -d $target ]]; then
    rm -rf "$target.new"
    "$2" "$target.new" "${@:3}" || fail "could not prepare ${target##*/}; see the lines above"
    mv "$target.new" "$target"
  fi
  exec 8>&-
}

# An initialised data directory is kept and copied. How names are compared is fixed at that moment, hence one
# for each such setting. Without auto.cnf each server makes a uuid of its own.
prepare_mysql() { # KIND [mysqld option...]
  local kind=$1 case_option='' option template
  shift
  use_server "$kind"
  for option in "$@"; do [[ $option != --lower[-_]case[-_]table[-_]names=* ]] || case_option=$option; done
  template=$STACK_HOME/templates/${SERVER_HOME##*/}-names${case_option##*=}
  [[ ! -f $SET_DIR/any_case.so ]] || template+=-any-case
  once "$template" initialise_mysql "$kind" "$case_option"
  cp -r --sparse=always "$template" "$SET_DIR/mysql"
}

initialise_mysql() { # TARGET KIND CASE_OPTION
  find_in_any_case "$1"
  local form=initialised command=("${SERVER[@]}" "${SERVER_BASE[@]}" --datadir="$1" ${3:+"$3"})
  case $2 in
    mysql55 | mysql56) form=shipped ;;
    mariadb*) form=bootstrapped ;;
  esac
  "$form" "$1" "${command[@]}" > "$SET_DIR/mysql.log" 2>&1 || { tail -n 30 "$SET_DIR/mysql.log" >&2; return 1; }
  rm -f "$1/auto.cnf"
}

initialised() { # TARGET COMMAND...
  root_over_tcp > "$SET_DIR/initialise.sql"
  "${@:2}" --initialize-insecure --skip-log-bin --init-file="$SET_DIR/initialise.sql"
}

# A data directory comes with the server. In it anybody may log in at the server's own host, which takes precedence
# over accounts that may come from anywhere; root may come over TCP.
shipped() { # TARGET COMMAND...
  cp -r "$SERVER_HOME/data" "$1" && "${@:2}" --bootstrap <<< "DELETE FROM mysql.user WHERE user = '';"
}

# What MariaDB's own script would feed to the server.
bootstrapped() { # TARGET COMMAND...
  local share
  share=$(mariadb_share)
  mkdir "$1" && {
    printf '%s\n' 'CREATE DATABASE mysql;' 'USE mysql;' 'SET @auth_root_socket = NULL;' 'SET @skip_auth_anonymous = 1;'
    cat "$share/${share##*/}"_{system_tables,performance_tables,system_tables_data,sys_schema}.sql
    echo 'FLUSH PRIVILEGES;'
    root_over_tcp
  } | "${@:2}" --bootstrap --log-warnings=0
}

# root may come over TCP too where 127.0.0.1 has no name.
root_over_tcp() {
  printf '%s\n' "CREATE USER IF NOT EXISTS root@'127.0.0.1' IDENTIFIED BY '';" \
    "GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;"
}

# Waits until the servers answer requests; shows the end of the log of one that died.
await() { # SERVICE...
  "$STACK_HOME/venv/bin/python" "$STACK/await_ready.py" "$SET_DIR" "$@"
}

# The signal decides what follows: TERM and KILL wait until the process is gone, others are just sent.
signal_server() { # SERVICE SIGNAL
  local pid i
  pid=$(pid_of "$1")
  [[ -n $pid ]] || return 0
  kill "-$2" "$pid"
  [[ $2 = TERM || $2 = KILL ]] || return 0
  for ((i = 0; i < 1200; i++)); do
    [[ -n $(pid_of "$1") ]] || { rm -f "$SET_DIR/$1.pid"; return 0; }
    sleep 0.05
  done
  fail "$1 (pid $pid) still runs 60 s after SIG$2"
}

write_env() {
  local service port bootstrap='' with_rights=''
  for service in $(brokers); do
    bootstrap+=,127.0.0.1:$(port_of "$service")
    port=$(port_of "rights_$service")
    with_rights+=${port:+,127.0.0.1:$port}
  done
  cat > "$SET_DIR/env.new" <<ENV
KAFKA_BOOTSTRAP=${bootstrap#,}
KAFKA_WITH_RIGHTS=${with_rights#,}
KAFKA_BEHIND_PROXY=127.0.0.1:$(port_of kafka_behind_proxy)
MYSQL_HOST=127.0.0.1
MYSQL_PORT=$(port_of mysql)
MYSQL_SOCKET=$SET_DIR/mysql/mysql.sock
REGISTRY_URL=http://127.0.0.1:$(port_of registry)/apis/ccompat/v7
$(for service in $(services); do printf '%s_PID=%s\n' "$(tr a-z- A-Z_ <<< "$service")" "$(pid_of "$service")"; done)
ENV
  mv "$SET_DIR/env.new" "$SET_DIR/env"
}

remove_set() {
  local service
  [[ ! -f $SET_DIR/ports ]] || for service in $(services); do signal_server "$service" KILL; done
  rm -rf "$SET_DIR"
}
