package identity

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"net/netip"
	"sync"
	"time"

	"conduit/internal/errs"
)

// Throttle slows down guessing, and everything else that shows a stranger who has an account (OWASP ASVS 5, 6.3.1; NIST
// SP 800-63B-4 §3.2.2). An attempt is counted before a password is looked at, in the one statement that also decides.
// It is taken back when it succeeds. All instances on a database count together.
//
// It counts in leaky buckets. A bucket takes some attempts at once, and loses one every so often. While it is full, it
// holds some or all who try: it refuses them, and says when there will be room for one more. Refused attempts are not
// counted, so nobody waits longer for asking early. N, M, K and R are settings; a zero switches its rows off.
//
//	attempts               counted by               at once     one less every    a full bucket holds
//	logins and other       account and network      N (5)       10 s              everybody
//	checks of passwords    account and IPv4, /56    3N          10 min            strangers
//	                       account and /48          12N         150 s             strangers
//	                       account                  M (20)      3 min             nobody (see below)
//	                       network                  K (100)     5 s               strangers
//	                       IPv6 /56, /48            2K, 4K      2.5 s, 1.25 s     strangers
//	registrations          network, IPv6 /56, /48   R, 2R, 4R   1 h / R, / 2R, …  everybody
//	  with a taken name    network, IPv6 /56, /48   K, 2K, 4K   5 s, 2.5 s, …     everybody
//	changes of one's name, user                     M (20)      1 min             the user; success stays counted
//	email or password      network, IPv6 /56, /48   K, 2K, 4K   5 s, 2.5 s, …     everybody
//	logins by passkey      user                     M (20)      10 s              the user; success stays counted
//	wrong secrets of       network, IPv6 /56, /48   K, 2K, 4K   5 s, 2.5 s, …     whoever has a wrong one
//	resource servers
//	codes of a second      account and network      N (5)       10 min            everybody
//	factor                 account                  M (20)      3 min             everybody
//	requests for a new     account and network      N           5 min             everybody; stays counted
//	password               account                  2N          5 min             strangers; stays counted
//	                       network, IPv6 /56, /48   K, 2K, 4K   5 s, 2.5 s, …     everybody; stays counted
//	other messages that    email                    2N          5 min             everybody; stays counted
//	somebody has sent
//	codes from messages    network, IPv6 /56, /48   K, 2K, 4K   5 s, 2.5 s, …     everybody
//
// Whoever can try a code knows the password, or has a session. So no network is known to be the owner's, and the bucket
// of the account holds everybody. Codes are counted apart at logins and in sessions.
//
// A network is what one customer has at least: an IPv4 address or an IPv6 /64. An account knows the last 20 networks
// from which somebody has logged in to it, each for 90 days. Whoever tries it from another network is a stranger. So a
// flood of guesses from an office, a carrier or a proxy that is not trusted does not hold up people who have logged in
// there before.
//
// While the bucket of an account alone is full, many networks are guessing at it. A stranger's attempt then costs as
// much as N in the first bucket, and as 3 in the second. The first attempt from any network is looked at even then. So
// nobody can lock a person out by failing in their name, and whoever mistypes once waits for ten seconds.
//
// Success empties the buckets of account and network. From the others it takes back its own attempt and no more, so
// logging in to an account of one's own buys no guesses at others.
//
// After the time to wait there will be room. Only somebody on the same network can take that room before; if the bucket
// is of an account and a network, they must try the same account. A clock that was set back makes nobody wait longer: a
// level from the future counts as one of now.
type Throttle struct {
	Store AttemptStore
	Audit AuditStore
	Now   func() time.Time
	// Secret keys the hashes under which attempts are stored. Without it a copy of the database does not show which
	// emails were tried from where. All instances need the same one.
	Secret []byte
	// How many wrong passwords are free for an account and network (N), for an account (M), and for a network (K).
	PerPair, PerAccount, PerNetwork int
	// Registrations is how many are free for a network, and how many more in each hour (R).
	Registrations int

	turns turns
	tally tally
}

// MostAttempts is the highest number that a setting of the throttle may have. More would overflow.
const MostAttempts = 1_000_000

// How fast buckets drain, and who is known for how long.
const (
	pairDrain    = 10 * time.Second
	placeDrain   = 10 * time.Minute
	accountDrain = 3 * time.Minute
	networkDrain = 5 * time.Second
	changeDrain  = time.Minute
	mostDear     = 60 // a stranger's attempt counts as so many at most, lest waits get too long

	knownFor      = 90 * 24 * time.Hour
	knownNetworks = 20
)

// counted is an attempt that was counted and whose outcome is still open.
type counted struct {
	throttle *Throttle
	count    Count
	network  string // the key under which attempts of one network take turns to be counted
	found    []Counted
	limits   *Limits
	held     Bucket // the first that refused the attempt
}

// login counts an attempt to prove that an account is one's own, or refuses it with KindTooMany.
func (t *Throttle) login(ctx context.Context, email string, client Client) (counted, error) {
	account, networks := t.account(email), networksOf(client.IPAddress)
	count := Count{Name: "login", Account: account, Network: t.hash("network", networks[0])}
	add := func(kind BucketKind, size int, drain time.Duration, after afterSuccess, key ...string) *Bucket {
		count.Buckets = append(count.Buckets, t.bucket(kind, size, drain, after, key...))
		return &count.Buckets[len(count.Buckets)-1]
	}
	if n := t.PerPair; n > 0 {
		dear := time.Duration(min(n, mostDear)) * pairDrain
		add(HoldsAll, n, pairDrain, emptied, "pair", account, networks[0]).Dear = dear
		place := networks[min(1, len(networks)-1)]
		add(HoldsStrangers, 3*n, placeDrain, emptied, "place", account, place).Dear = 3 * placeDrain
		if len(networks) > 1 {
			add(HoldsStrangers, 12*n, placeDrain/4, takenBack, "place", account, networks[2])
		}
		if t.PerAccount > 0 {
			add(HoldsNobody, t.PerAccount, accountDrain, takenBack, "account", account)
		}
	}
	of := t.byNetwork("network", HoldsStrangers, t.PerNetwork, networkDrain, takenBack, networks)
	count.Buckets = append(count.Buckets, of...)
	return t.try(ctx, client, count, "credentials", "too many attempts")
}

// registration counts an attempt to register, or refuses it with KindTooMany. Until it succeeds, it also counts as one
// with a taken name.
// Where the email has yet to be proven (pending), the attempt names no account, since whoever registers has proven
// nothing, and messages to one email are counted.
func (t *Throttle) registration(ctx context.Context, email string, pending bool, client Client) (counted, error) {
	networks := networksOf(client.IPAddress)
	count := Count{Name: "registration", Account: t.account(email), Network: t.hash("network", networks[0])}
	if r := t.Registrations; r > 0 {
		count.Buckets = t.byNetwork("registrations", HoldsAll, r, time.Hour/time.Duration(r), kept, networks)
	}
	taken := t.byNetwork("taken", HoldsAll, t.PerNetwork, networkDrain, takenBack, networks)
	count.Buckets = append(count.Buckets, taken...)
	if pending {
		count.Account = ""
		count.Buckets = append(count.Buckets, t.mailTo(email)...)
	}
	return t.try(ctx, client, count, "username", "too many registrations from this network")
}

// change counts an attempt to change one's name, password or email, or refuses it with KindTooMany. A success stays
// counted for the user, for it shows as much as a refusal does: that nobody else has the name. The attempt names no
// account, since the account would then know the network: a token was presented, which may be stolen, and no password.
// If a message goes to an email, it is counted too.
func (t *Throttle) change(ctx context.Context, userID int64, mailTo string, client Client) (counted, error) {
	networks := networksOf(client.IPAddress)
	count := Count{Name: "change", Network: t.hash("network", networks[0])}
	if m := t.PerAccount; m > 0 {
		count.Buckets = []Bucket{t.bucket(HoldsAll, m, changeDrain, kept, "changes", UserTarget(userID))}
	}
	refused := t.byNetwork("changes", HoldsAll, t.PerNetwork, networkDrain, takenBack, networks)
	count.Buckets = append(count.Buckets, refused...)
	if mailTo != "" {
		count.Buckets = append(count.Buckets, t.mailTo(mailTo)...)
	}
	return t.try(ctx, client, count, "user", "too many changes")
}

// bucket returns a bucket that takes so many attempts at once, and loses one each time that drain has passed.
func (t *Throttle) bucket(kind BucketKind, size int, drain time.Duration, after afterSuccess, key ...string) Bucket {
	return Bucket{
		Key: t.hash(key...), Kind: kind, Cost: drain, Dear: drain, Room: time.Duration(size-1) * drain, after: after,
	}
}

// byNetwork returns the buckets of a network and of the wider ones around it. Each takes twice as much as the one
// inside it.
func (t *Throttle) byNetwork(
	what string, kind BucketKind, size int, drain time.Duration, after afterSuccess, networks []string,
) (buckets []Bucket) {
	for i, network := range networks {
		if size == 0 {
			break
		}
		cost := max((drain >> i).Truncate(time.Millisecond), time.Millisecond)
		bucket := t.bucket(kind, size<<i, cost, after, what, network)
		bucket.target = "network:" + network
		buckets = append(buckets, bucket)
	}
	return buckets
}

// try counts an attempt or refuses it. The context must outlive the request: whoever hangs up has still tried.
func (t *Throttle) try(ctx context.Context, client Client, count Count, field, message string) (counted, error) {
	c := counted{
		throttle: t, count: count, network: "counting " + widest(client.IPAddress), limits: client.Limits,
	}
	if len(count.Buckets) == 0 {
		return c, nil
	}
	c.count.At = Stamp(t.Now())
	leave := t.turns.take(ctx, c.network, countingAtOnce, countingQueue)
	var err error
	c.found, err = t.Store.CountAttempt(ctx, c.count)
	if leave(); err != nil {
		return c, err
	}
	var wait time.Duration
	refusedBy := func(i int, until time.Duration) {
		if wait == 0 {
			c.held = count.Buckets[i]
		}
		wait = max(wait, until)
	}
	for i, found := range c.found {
		if found.Holds && found.Level > count.Buckets[i].Room {
			refusedBy(i, found.Level-count.Buckets[i].Room+found.Ahead)
		}
	}
	if wait == 0 { // there was room everywhere; where it is not counted now, others were faster
		for i, found := range c.found {
			if found.Holds && !found.Added {
				refusedBy(i, found.Cost+found.Ahead)
			}
		}
	}
	limit := c.limit(asCounted)
	if wait == 0 {
		c.limits.note(limit)
		return c, nil
	}
	err = errs.TooMany(field, message, wait)
	c.limits.note(exhausted(limit, err))
	c.takeBack(ctx)
	return c, err
}

// group names the group in which the attempt waits for its password to be looked at. Strangers may come from very many
// networks, so all of them are one group.
func (c counted) group() string {
	for i, found := range c.found {
		if c.count.Buckets[i].Kind == HoldsStrangers && !found.Holds {
			return "known"
		}
	}
	return "strangers"
}

// takeBack undoes the count. If it cannot, the level drains all the same.
func (c counted) takeBack(ctx context.Context) {
	_ = c.settle(ctx, func(Bucket) afterSuccess { return takenBack }, nil)
}

// unlooked takes back an attempt at which nobody could look, unless that is because the client has hung up. It returns
// the reason.
func (c counted) unlooked(ctx context.Context, why error) error {
	if ctx.Err() == nil && c.throttle != nil {
		c.limits.note(c.limit(func(Bucket) afterSuccess { return takenBack }))
		c.takeBack(context.WithoutCancel(ctx))
	}
	return why
}

// succeeded takes back what a success takes back. The account, if there is one, now knows the network. An error does
// not matter, for what has succeeded must not fail by it: the level drains all the same, and the next success will do.
func (c counted) succeeded(ctx context.Context) {
	if c.throttle == nil {
		return
	}
	var known *Known
	if c.count.Account != "" && c.throttle.PerPair+c.throttle.PerNetwork > 0 {
		until := Stamp(c.throttle.Now()).Add(knownFor)
		known = &Known{Account: c.count.Account, Network: c.count.Network, Until: until, Keep: knownNetworks}
	}
	after := func(b Bucket) afterSuccess { return b.after }
	c.limits.note(c.limit(after))
	_ = c.settle(ctx, after, known)
}

func (c counted) settle(ctx context.Context, after func(Bucket) afterSuccess, known *Known) error {
	var lower []Lower
	for i, found := range c.found {
		bucket := c.count.Buckets[i]
		switch after(bucket) {
		case takenBack:
			if found.Added {
				lower = append(lower, Lower{Key: bucket.Key, By: found.Cost})
			}
		case emptied:
			lower = append(lower, Lower{Key: bucket.Key, By: math.MaxInt64})
		case kept:
		}
	}
	if len(lower) == 0 && known == nil {
		return nil
	}
	if unit := UnitOf(ctx); unit != nil && unit.Begun() {
		// Those whose turn it is may be waiting for what the unit holds, such as the only writer of SQLite.
		unit.Afterwards(func() { _ = c.settle(ctx, after, known) })
		return nil
	}
	defer c.throttle.turns.take(ctx, c.network, countingAtOnce, countingQueue)()
	return c.throttle.Store.SettleAttempt(ctx, lower, known)
}

// How many attempts of a network are counted at once, and how many wait for that. They all count in the same rows, and
// whoever waits for a row in the database keeps a connection from everybody else. Of a hundred that register from one
// network, only a few may do so.
const (
	countingAtOnce = 4
	countingQueue  = 10_000
)

// turn waits until few others are trying the same account from the same network. Whoever is done calls leave, which
// lets the next one in.
func (t *Throttle) turn(ctx context.Context, email string, client Client) (leave func()) {
	if t.PerPair == 0 {
		return func() {}
	}
	return t.turns.take(ctx, t.hash("pair", t.account(email), networksOf(client.IPAddress)[0]), t.PerPair, turnQueue)
}

// turns lets few attempts go ahead at a time, since each is counted before its outcome is known. Without it, eight
// browsers that log in as one person in the same moment would be more than are free, even with the right password. With
// it they wait for those before them, whose success takes their count back. Guesses wait as well, and are then refused.
// Few of the attempts that are counted in the same rows go to the database at a time.
type turns struct {
	mutex sync.Mutex
	of    map[string]*turn
}

type turn struct {
	places chan struct{}
	users  int // who wait for a place or have one
}

// How long an attempt waits for a turn, and how many wait at one account. A turn is a courtesy: an attempt that gets
// none goes ahead all the same, and is counted.
const (
	turnWait  = 10 * time.Second
	turnQueue = 64
)

// take waits for one of so many places under a key, no longer than ctx lasts, and not at all if too many wait already.
// The function it returns frees the place.
func (t *turns) take(ctx context.Context, key string, places, queue int) (leave func()) {
	t.mutex.Lock()
	mine := t.of[key]
	if mine == nil {
		mine = &turn{places: make(chan struct{}, places)}
		if t.of == nil {
			t.of = map[string]*turn{}
		}
		t.of[key] = mine
	}
	mine.users++
	wait := turnWait
	if mine.users > cap(mine.places)+queue {
		wait = 0
	}
	t.mutex.Unlock()

	timer := time.NewTimer(wait)
	defer timer.Stop()
	taken := false
	select {
	case mine.places <- struct{}{}:
		taken = true
	case <-ctx.Done():
	case <-timer.C:
	}
	return func() {
		if taken {
			<-mine.places
		}
		t.mutex.Lock()
		defer t.mutex.Unlock()
		if mine.users--; mine.users == 0 {
			delete(t.of, key)
		}
	}
}

// refused records a refusal and returns it. If it cannot be recorded, it returns that error instead.
func (t *Throttle) refused(ctx context.Context, refusal error, s sighting) error {
	if err := t.note(ctx, s); err != nil {
		return err
	}
	return refusal
}

// account returns the hash of the account that an email names.
func (t *Throttle) account(email string) string { return t.hash("account", string(Fold(email))) }

// hash returns a key that hides what is counted: which emails somebody tried is nobody's business.
func (t *Throttle) hash(parts ...string) string {
	sum := hmac.New(sha256.New, t.Secret)
	for _, part := range parts {
		sum.Write([]byte(part))
		sum.Write([]byte{0}) // which no part holds
	}
	return parts[0] + ":" + hex.EncodeToString(sum.Sum(nil)[:16])
}

// Keyed returns a hash that hides what is hashed from those who have a copy of the database. The first part says what
// it is.
func (t *Throttle) Keyed(parts ...string) string { return t.hash(parts...) }

// nat64 is where IPv4 clients come from when a translator stands before a server with IPv6 only (RFC 6052 §2.1).
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// Network returns the narrowest network that the client is counted by.
func (c Client) Network() string { return networksOf(c.IPAddress)[0] }

// networksOf returns the networks that an IP address is counted by, the narrowest first. That is what one customer has
// at least: an IPv4 address or an IPv6 /64. In IPv6 a customer can also have a /56 or a /48 (RIPE-690 §4.2), so these
// follow. A text that is no IP address is its own network, the empty one too.
func networksOf(ipAddress string) []string {
	parsed, err := netip.ParseAddr(ipAddress)
	if err != nil {
		return []string{ipAddress}
	}
	parsed = parsed.Unmap().WithZone("")
	if nat64.Contains(parsed) {
		bytes := parsed.As16()
		parsed = netip.AddrFrom4([4]byte(bytes[12:]))
	}
	if parsed.Is4() {
		return []string{parsed.String()}
	}
	networks := make([]string, 3)
	for i, bits := range []int{64, 56, 48} {
		prefix, _ := parsed.Prefix(bits) // never fails for so few of 128 bits
		networks[i] = prefix.String()
	}
	return networks
}

// widest returns the widest network that an IP address is counted by.
func widest(ipAddress string) string {
	networks := networksOf(ipAddress)
	return networks[len(networks)-1]
}
