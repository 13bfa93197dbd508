package store

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"conduit/internal/identity"
)

var _ identity.AttemptStore = (*Store)(nil)

// bucketRow is an [identity.Bucket] on its way into a statement. Times are in milliseconds, here and in all that
// follow.
type bucketRow struct {
	Key  string              `json:"key"`
	Kind identity.BucketKind `json:"kind"`
	Cost int64               `json:"cost"`
	Dear int64               `json:"dear"`
	Room int64               `json:"room"`
}

// foundRow is an [identity.Counted] on its way out.
type foundRow struct {
	Key                      string
	Cost, Room, Level, Ahead int64
	Holds, Astray, Added     bool
}

// moment is $2 with its type. A bare $2 has none where the URL asks for values in the text of statements.
const moment = "cast($2 as bigint)"

// skew is how far the clock of another instance may be ahead. A time beyond that was written before a clock was set
// back.
const skew = "30000"

// drained returns the expression of a bucket's level now ($2). A level never rises by itself, not even when the clock
// is set back. It is at most the brim, which may have been higher before a setting was lowered.
func drained(brim string) string {
	return "greatest(least(coalesce(a.level, 0), " + brim + ") - greatest($2 - a.at, 0), 0)"
}

const askedSQL = `
    select key, kind, cost, dear, room
      from json_to_recordset($1::json) as asked (key text, kind text, cost bigint, dear bigint, room bigint)`

// judgedSQL finds buckets ($1, as JSON) as they are at a moment ($2), for an attempt at an account ($3) from a network
// ($4).
var judgedSQL = `
with asked as (` + askedSQL + `
),
found as (
    select asked.*, coalesce(` + drained("room + dear") + `, 0) as level,
           case when a.at between $2 and ` + moment + ` + ` + skew + ` then a.at - $2 else 0 end as ahead,
           coalesce(a.at > ` + moment + ` + ` + skew + `, false) as astray
      from asked left join attempts as a on a.key = asked.key
),
facts as (
    select exists (select 1 from known_networks where account = $3 and network = $4 and until > $2) as known,
           exists (select 1 from found where kind = 'nobody' and level > room) as alarm
),
judged as (
    select key, room, room + dear as brim, level, ahead, astray,
           case when alarm and not known then dear else cost end as cost,
           kind = 'all' or kind = 'strangers' and not known as holds
      from found, facts
),
full_ones as (select 1 from judged where holds and level > room)`

// countSQL also counts the attempt, on PostgreSQL. A bucket may have changed since judged read it, so the condition on
// the row itself decides, which is locked by then. Everybody locks the rows in one order, against deadlocks. A full
// bucket that was written before the clock was set back begins to drain now.
var countSQL = judgedSQL + `,
counted as (
    insert into attempts as a (key, level, at)
    select key, cost, $2 from judged where not exists (select 1 from full_ones) order by key
        on conflict (key) do update
       set level = ` + drained(brim) + ` + excluded.level,
           at = case when a.at between $2 and ` + moment + ` + ` + skew + ` then a.at else $2 end
     where ` + drained(brim) + ` <= (select room from judged where judged.key = excluded.key)
    returning key
),
mended as (
    update attempts set at = $2
     where key in (select key from judged where astray) and exists (select 1 from full_ones)
)
select key, cost, room, level, ahead, holds, astray, key in (select key from counted) as added from judged`

const brim = "(select brim from judged where judged.key = excluded.key)"

// judgedLiteSQL is judgedSQL in SQLite's words.
var judgedLiteSQL = strings.NewReplacer("greatest(", "max(", "least(", "min(", askedSQL, `
    select value ->> 'key' as key, value ->> 'kind' as kind,
           value ->> 'cost' as cost, value ->> 'dear' as dear, value ->> 'room' as room
      from json_each($1)`).Replace(judgedSQL) + `
select key, cost, room, level, ahead, holds, astray, false as added from judged`

// CountAttempt implements [identity.AttemptStore]. On PostgreSQL it is one statement. On SQLite it reads first, so that
// a guesser who is blocked does not take the only writer from others. Then it reads again and counts, in one
// transaction. An attempt may count twice if the answer of the database is lost.
func (s *Store) CountAttempt(ctx context.Context, count identity.Count) ([]identity.Counted, error) {
	ctx = aside(ctx)
	asked, err := json.Marshal(each(count.Buckets, func(b identity.Bucket) bucketRow {
		return bucketRow{b.Key, b.Kind, b.Cost.Milliseconds(), b.Dear.Milliseconds(), b.Room.Milliseconds()}
	}))
	if err != nil {
		return nil, err
	}
	now := count.At.UnixMilli()
	args := []any{string(asked), now, count.Account, count.Network}
	var found []foundRow
	look := func(db *bun.DB, text string, args ...any) error {
		return s.retry(ctx, func(ctx context.Context) error {
			return s.pastBun(ctx, db.DB, []any{&found}, text, args...)
		})
	}
	if s.dialect.postgres {
		err = look(s.writes, countSQL, append([]any{hot}, args...)...)
	} else if err = look(s.reads, judgedLiteSQL, args...); err == nil && (!anyFull(found) || anyAstray(found)) {
		err = s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
			found, err = s.countLite(ctx, tx, args, now)
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	byKey := make(map[string]foundRow, len(found))
	for _, row := range found {
		byKey[row.Key] = row
	}
	return each(count.Buckets, func(b identity.Bucket) identity.Counted {
		row := byKey[b.Key]
		return identity.Counted{
			Cost: milliseconds(row.Cost), Level: milliseconds(row.Level), Ahead: milliseconds(row.Ahead),
			Holds: row.Holds, Added: row.Added,
		}
	}), nil
}

// countLite does on SQLite what countSQL adds to judgedSQL.
func (s *Store) countLite(ctx context.Context, tx bun.Tx, args []any, now int64) (found []foundRow, err error) {
	if err := s.pastBun(ctx, tx.Tx, []any{&found}, judgedLiteSQL, args...); err != nil {
		return nil, err
	}
	full := anyFull(found)
	for i, row := range found {
		added := !full && row.Level <= row.Room
		switch {
		case added:
			found[i].Added = true
			row.Level += row.Cost
		case !full || !row.Astray:
			continue
		}
		if _, err := tx.Tx.ExecContext(ctx, `
insert into attempts (key, level, at) values ($1, $2, $3)
    on conflict (key) do update set level = excluded.level, at = excluded.at`,
			row.Key, row.Level, now+row.Ahead); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func anyFull(found []foundRow) bool {
	return slices.ContainsFunc(found, func(row foundRow) bool { return row.Holds && row.Level > row.Room })
}

func anyAstray(found []foundRow) bool {
	return slices.ContainsFunc(found, func(row foundRow) bool { return row.Astray })
}

func milliseconds(number int64) time.Duration { return time.Duration(number) * time.Millisecond }

// settleSQL lowers levels ($1, as JSON). It also notes that an account ($2) knows a network ($3) until a moment ($4),
// and forgets its oldest networks beyond a number ($5).
const settleSQL = `
with lower as (select key, amount from json_to_recordset($1::json) as lower (key text, amount bigint)),
locked as (
    select a.key, lower.amount
      from attempts as a join lower on lower.key = a.key
     order by a.key
       for update of a
),
emptied as (delete from attempts as a using locked where a.key = locked.key and a.level <= locked.amount),
lowered as (
    update attempts as a set level = a.level - locked.amount
      from locked where a.key = locked.key and a.level > locked.amount
),
forgotten as (` + forgetSQL + `)` + knowSQL

const (
	forgetSQL = `
delete from known_networks
 where account = $2 and network <> $3
   and network not in (select network from known_networks where account = $2 and network <> $3
                        order by until desc, network limit $5 - 1)`
	knowSQL = `
insert into known_networks (account, network, until) select $2, $3, cast($4 as bigint) where $2 <> ''
    on conflict (account, network) do update set until = excluded.until`
)

// SettleAttempt implements [identity.AttemptStore].
func (s *Store) SettleAttempt(ctx context.Context, lower []identity.Lower, known *identity.Known) error {
	type lowerRow struct {
		Key    string `json:"key"`
		Amount int64  `json:"amount"`
	}
	rows := each(lower, func(l identity.Lower) lowerRow { return lowerRow{l.Key, l.By.Milliseconds()} })
	if known == nil {
		known = &identity.Known{}
	}
	ctx = aside(ctx)
	if s.dialect.postgres {
		lowered, err := json.Marshal(rows)
		if err != nil {
			return err
		}
		return s.retry(ctx, func(ctx context.Context) error {
			asked := string(lowered)
			lowered = []byte("[]") // lowered once at most: perhaps only the answer was lost
			_, err := s.executor(ctx).ExecContext(ctx, settleSQL, hot,
				asked, known.Account, known.Network, known.Until.UnixMilli(), known.Keep)
			return err
		})
	}
	return s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		for _, row := range rows {
			for _, statement := range []string{
				"delete from attempts where key = $1 and level <= $2",
				"update attempts set level = level - $2 where key = $1",
			} {
				if _, err := tx.Tx.ExecContext(ctx, statement, row.Key, row.Amount); err != nil {
					return err
				}
			}
		}
		for _, statement := range []string{forgetSQL, knowSQL} { // neither has a $1
			if _, err := tx.Tx.ExecContext(ctx, statement,
				nil, known.Account, known.Network, known.Until.UnixMilli(), known.Keep); err != nil {
				return err
			}
		}
		return nil
	})
}

// SweepAttempts implements [identity.AttemptStore].
func (s *Store) SweepAttempts(ctx context.Context, now time.Time, limit int) (int, error) {
	// A bucket that somebody is writing just now is in use again.
	over := "select key from attempts where level + at <= ? limit ?" + s.dialect.locks("update skip locked")
	at := now.UnixMilli()
	attempts, err := s.change(ctx, s.writes.NewRaw("delete from attempts where key in ("+over+")", at, limit))
	if err != nil {
		return 0, err
	}
	networks, err := s.change(ctx, s.writes.NewRaw(`
delete from known_networks
 where (account, network) in (select account, network from known_networks where until <= ? limit ?)`, at, limit))
	return max(attempts, networks), err
}
