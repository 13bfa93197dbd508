//go:build failover

package failover_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"conduit/internal/store/storetest"
)

// How fast the cluster is to be. docs/postgresql.md says what that means for how long writes are out.
const (
	ttl   = 10 // seconds after which a silent primary is replaced
	loop  = 1  // seconds between two looks of Patroni
	retry = 3  // seconds after which etcd counts as lost
)

// patience bounds each step of the cluster.
const patience = 90 * time.Second

// cluster is etcd and two nodes of Patroni, with a PostgreSQL each. Everything listens on 127.0.0.1 only.
type cluster struct {
	t      *testing.T // with which everything ends
	secret string     // the password of all roles
	etcd   service
	nodes  []*node
}

// service is a program that other programs reach by a port.
type service struct {
	folder string
	port   int
	run    *storetest.Program
}

// node is a Patroni and its PostgreSQL.
type node struct {
	service // Patroni, and its API
	name    string
	data    string // the folder of the cluster
	port    int    // of PostgreSQL, for Conduit

	// How this node reaches etcd, and how the other one reaches this node's API and PostgreSQL.
	toEtcd, toAPI, toPostgres way
}

// way is a port, and the proxy that listens there.
type way struct {
	port  int
	proxy *storetest.Proxy
}

func newWay(t *testing.T, port int) way {
	t.Helper()
	through, proxy := storetest.NewProxy(t, fmt.Sprintf("postgres://127.0.0.1:%d/", port))
	config, err := pgconn.ParseConfig(through)
	if err != nil {
		t.Fatal(err)
	}
	return way{int(config.Port), proxy}
}

// isolate cuts a node off from etcd and from the other one. Whoever uses its PostgreSQL is not cut off.
func (n *node) isolate() {
	for _, w := range []way{n.toEtcd, n.toAPI, n.toPostgres} {
		w.proxy.Freeze()
	}
}

// join undoes isolate.
func (n *node) join() {
	for _, w := range []way{n.toEtcd, n.toAPI, n.toPostgres} {
		w.proxy.Thaw()
	}
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	for _, program := range []string{"etcd", "patroni", "patronictl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%v\ninstall Patroni and etcd (Debian and Ubuntu: apt-get install etcd-server patroni)", err)
		}
	}
	c := &cluster{t: t, secret: rand.Text(), etcd: service{folder: storetest.NewFolder(t), port: freePort(t)}}
	guard(t, c.etcd.folder)
	c.startEtcd()
	for _, name := range []string{"a", "b"} {
		n := c.newNode(name)
		c.nodes = append(c.nodes, n)
		c.start(n)
		c.await(t, "a primary", func() bool { return c.primary() != nil }) // so the first node becomes it
	}
	c.awaitWell(t)
	return c
}

// freePort returns a port of 127.0.0.1 on which nobody listens.
func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", host(0))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().(*net.TCPAddr).Port
}

func host(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// startEtcd starts etcd, which knows again what it knew.
func (c *cluster) startEtcd() {
	c.t.Helper()
	c.etcd.run = storetest.Run(c.t, c.etcd.folder, fmt.Sprintf("echo $$ >pid; exec etcd --enable-v2 --name=etcd"+
		" --data-dir=data --log-level=error"+
		" --listen-client-urls=http://%s --advertise-client-urls=http://%[1]s"+
		" --listen-peer-urls=http://%s --initial-advertise-peer-urls=http://%[2]s"+
		" --initial-cluster=etcd=http://%[2]s", host(c.etcd.port), host(freePort(c.t))), ":")
}

func (c *cluster) newNode(name string) *node {
	c.t.Helper()
	folder := storetest.NewFolder(c.t)
	n := &node{
		service: service{folder: folder, port: freePort(c.t)}, name: name, data: filepath.Join(folder, "data"),
		port: freePort(c.t), toEtcd: newWay(c.t, c.etcd.port),
	}
	n.toAPI, n.toPostgres = newWay(c.t, n.service.port), newWay(c.t, n.port)
	text, err := json.MarshalIndent(c.configuration(n), "", "  ")
	if err == nil {
		err = os.WriteFile(n.settings(), text, 0o600)
	}
	if err == nil {
		err = ownLike(folder, n.settings())
	}
	if err != nil {
		c.t.Fatal(err)
	}
	guard(c.t, folder)
	c.t.Cleanup(func() {
		if said, err := os.ReadFile(filepath.Join(folder, "log")); err == nil && c.t.Failed() {
			keep(c.t, "node-"+name, said)
		}
		n.signal(syscall.SIGKILL)
	})
	return n
}

// guard ends what runs in a folder, and removes that, if the test is killed. PostgreSQL leaves Patroni's process group
// and outlives Patroni; and what was stopped takes no other signal than this.
func guard(t *testing.T, folder string) {
	t.Helper()
	storetest.Run(t, folder, "exec tail -f /dev/null", `
read pid <pid && kill -KILL $pid
for _ in 1 2 3 4 5 6 7 8 9 10; do
  if read pid <data/postmaster.pid; then kill -QUIT $pid; kill -CONT $pid $(cat /proc/$pid/task/$pid/children); fi
  sleep 0.2
done
rm -rf "$PWD"`)
}

// keep keeps what somebody said, for whoever wants to know why the test failed.
func keep(t *testing.T, who string, said []byte) {
	t.Helper()
	file := filepath.Join(t.ArtifactDir(), who+".log")
	if err := os.WriteFile(file, said, 0o600); err != nil {
		t.Error(err)
	}
	t.Logf("%s said what is in %s (kept with -artifacts)", who, file)
}

// ownLike gives a file to the user who owns another.
func ownLike(other, file string) error {
	info, err := os.Stat(other)
	if err != nil {
		return err
	}
	owner := info.Sys().(*syscall.Stat_t)
	return os.Chown(file, int(owner.Uid), int(owner.Gid))
}

func (n *node) settings() string { return filepath.Join(n.folder, "patroni.json") }

// configuration is that of a node's Patroni, which reads YAML, and so JSON.
func (c *cluster) configuration(n *node) any {
	type object = map[string]any
	role := func(name string) object { return object{"username": name, "password": c.secret} }
	return object{
		"scope": "conduit", "name": n.name, "watchdog": object{"mode": "off"},
		"restapi": object{"listen": host(n.service.port), "connect_address": host(n.toAPI.port)},
		// By the older API of etcd: Patroni 3.0 does not compare what it overwrites by the newer one, so a primary that
		// wakes takes its lock back (docs/robustness.md). As a proxy: Patroni would ask etcd for its IP address and go
		// there by another way.
		"etcd": object{"host": host(n.toEtcd.port), "use_proxies": true},
		"bootstrap": object{
			"dcs": object{
				"ttl": ttl, "loop_wait": loop, "retry_timeout": retry,
				// A commit is acknowledged when the other node has it, and no node without it becomes the primary.
				"synchronous_mode": true,
				// A primary that has crashed is replaced, not restarted.
				"primary_start_timeout": 0,
				"postgresql":            object{"use_pg_rewind": true, "parameters": object{"max_connections": 200}},
			},
			"initdb": []any{
				object{"encoding": "UTF8"}, object{"locale": "C"}, object{"auth": "scram-sha-256"}, "no-sync",
			},
		},
		"postgresql": object{
			"listen": host(n.port), "connect_address": host(n.toPostgres.port),
			"data_dir": n.data, "pgpass": filepath.Join(n.folder, "pgpass"),
			"authentication": object{
				"superuser": role("postgres"), "replication": role("replicator"), "rewind": role("rewinder"),
			},
			"pg_hba": []string{
				"host all all 127.0.0.1/32 scram-sha-256", "host replication all 127.0.0.1/32 scram-sha-256",
			},
			"parameters": object{
				"unix_socket_directories": n.folder, "dynamic_shared_memory_type": "mmap", "shared_buffers": "64MB",
			},
		},
	}
}

func (c *cluster) start(n *node) {
	c.t.Helper()
	n.run = storetest.Run(c.t, n.folder, "echo $$ >pid; exec patroni "+n.settings(), ":")
}

// postgres returns the ids of PostgreSQL's processes, that of the first one first. It returns none if that has ended.
func (n *node) postgres() (pids []int) {
	text, _ := os.ReadFile(filepath.Join(n.data, "postmaster.pid"))
	first, _, _ := strings.Cut(string(text), "\n")
	children, err := os.ReadFile(fmt.Sprintf("/proc/%s/task/%[1]s/children", first))
	if err != nil {
		return nil
	}
	for _, word := range append([]string{first}, strings.Fields(string(children))...) {
		if pid, err := strconv.Atoi(word); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// signal sends a signal to a node's Patroni and PostgreSQL.
func (n *node) signal(signal syscall.Signal) {
	n.signalPatroni(signal)
	n.signalPostgres(signal)
}

func (n *node) signalPatroni(signal syscall.Signal) { _ = syscall.Kill(n.run.PID, signal) }

func (n *node) signalPostgres(signal syscall.Signal) {
	for _, pid := range n.postgres() {
		_ = syscall.Kill(pid, signal)
	}
}

// url returns the URL of the database conduit on all nodes, for whoever writes.
func (c *cluster) url() string {
	var hosts []string
	for _, n := range c.nodes {
		hosts = append(hosts, host(n.port))
	}
	return c.at(strings.Join(hosts, ","), "conduit") + "&target_session_attrs=read-write"
}

func (c *cluster) at(hosts, database string) string {
	return fmt.Sprintf("postgres://postgres:%s@%s/%s?sslmode=disable", c.secret, hosts, database)
}

// member is what Patroni says of a node.
type member struct{ Name, Role, State string }

// members asks the API of a node that answers for all that etcd knows.
func (c *cluster) members() []member {
	client := http.Client{Timeout: time.Second}
	for _, n := range c.nodes {
		answer, err := client.Get("http://" + host(n.service.port) + "/cluster")
		if err != nil {
			continue
		}
		var is struct{ Members []member }
		err = json.NewDecoder(answer.Body).Decode(&is)
		_ = answer.Body.Close()
		if err == nil && answer.StatusCode == http.StatusOK {
			return is.Members
		}
	}
	return nil
}

// primary returns the node that holds the lock of etcd and runs; nil if there is none.
func (c *cluster) primary() *node { return c.with("leader") }

func (c *cluster) with(role string) *node {
	members := c.members()
	for _, n := range c.nodes {
		if slices.ContainsFunc(members, func(m member) bool {
			return m.Name == n.name && m.Role == role && (m.State == "running" || m.State == "streaming")
		}) {
			return n
		}
	}
	return nil
}

// writable reports whether the PostgreSQL of a node takes writes.
func (c *cluster) writable(n *node) bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.at(host(n.port), "postgres"))
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close(ctx) }()
	standby := true
	return conn.QueryRow(ctx, "select pg_is_in_recovery()").Scan(&standby) == nil && !standby
}

// awaitWell waits until there is a primary whose commits wait for the other node.
func (c *cluster) awaitWell(t *testing.T) {
	t.Helper()
	c.await(t, "a primary with its standby", func() bool {
		return c.primary() != nil && c.with("sync_standby") != nil
	})
}

func (c *cluster) await(t *testing.T, what string, there func() bool) {
	t.Helper()
	for late := time.Now().Add(patience); !there(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("no %s within %v: %v", strings.TrimPrefix(what, "a "), patience, c.members())
		}
	}
}

// switchover has the primary and the standby change places.
func (c *cluster) switchover(t *testing.T) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "patronictl", "-c", c.nodes[0].settings(), "switchover", "--force")
	if said, err := command.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, said)
	}
}

// connect opens a connection to the primary past Conduit.
func (c *cluster) connect(t *testing.T, database string) *pgx.Conn {
	t.Helper()
	return storetest.Connect(t, strings.Replace(c.url(), "/conduit?", "/"+database+"?", 1))
}
