package internal_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	refusals = "conduit/internal/errs"
	store    = "conduit/internal/store"
)

// findingOut are the rooms in which an error is about what could not be found out.
var findingOut = []string{"conduit/internal/identity", "conduit/internal/blog", store}

// TestRefusalsStandAlone: an error that is joined with a refusal, or hidden by one, is shown as the refusal: an outage
// would be 401, 404 or 409. So no refusal is an argument of errors.Join or one of several of fmt.Errorf, none has a
// cause, and none is what becomes of "err != nil" where the store and the domain find out things.
func TestRefusalsStandAlone(t *testing.T) {
	t.Parallel()
	rooms := map[string][]*ast.File{} // by import path
	notOurs := []string{"node_modules", "clients", "tools"}
	positions := token.NewFileSet()
	if err := filepath.WalkDir("..", func(file string, entry fs.DirEntry, err error) error {
		if entry != nil && entry.IsDir() && slices.Contains(notOurs, entry.Name()) {
			return fs.SkipDir
		}
		if err != nil || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return err
		}
		parsed, err := parser.ParseFile(positions, file, nil, parser.SkipObjectResolution)
		room := path.Join("conduit", strings.TrimPrefix(filepath.ToSlash(filepath.Dir(file)), ".."))
		rooms[room] = append(rooms[room], parsed)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for _, room := range append(findingOut, refusals) {
		if len(rooms[room]) == 0 {
			t.Errorf("%s was not found: name the rooms of today in internal/refusals_test.go", room)
		}
	}
	for _, found := range refusalsAmiss(rooms, positions) {
		t.Error(found)
	}
}

// TestRefusalsAmiss shows what the check finds, and what it lets pass.
func TestRefusalsAmiss(t *testing.T) {
	t.Parallel()
	errorsGo, err := os.ReadFile("errs/errs.go")
	if err != nil {
		t.Fatal(err)
	}
	const joins, hides = "errors.Join", "hides err"
	for name, test := range map[string]struct {
		code string
		want string // a part of what is said; empty: nothing
	}{
		"joined":              {`return errors.Join(err, errs.NotFound("user"))`, joins},
		"joined alone":        {`return errors.Join(errs.Taken("user"))`, joins},
		"by variable":         {`gone := errs.NotFound("user"); return errors.Join(err, gone)`, joins},
		"by declaration":      {`var gone = errs.NotFound("user"); return errors.Join(err, gone)`, joins},
		"by assignment":       {`var gone error; gone = errs.Forbidden("x"); return errors.Join(gone, err)`, joins},
		"of the package":      {`return errors.Join(err, errGone)`, joins},
		"by a function":       {`return errors.Join(err, missing(err, "user"))`, joins},
		"by a method":         {`return errors.Join(err, s.taken(err))`, joins},
		"literal":             {`return errors.Join(err, &errs.Error{Kind: errs.KindNotFound})`, joins},
		"in a closure":        {`return func() error { return errors.Join(err, errs.NotFound("user")) }()`, joins},
		"deferred":            {`defer func() { err = errors.Join(err, errs.NotFound("user")) }(); return nil`, joins},
		"wrapped together":    {`return fmt.Errorf("%w: %w", errs.NotFound("user"), err)`, "fmt.Errorf"},
		"with a cause":        {`return &errs.Error{Kind: errs.KindTaken, Cause: err}`, "cause"},
		"hiding":              {`if err != nil { return errs.NotFound("user") }; return nil`, hides},
		"hiding with more":    {`if err != nil || !there { return errs.NotFound("user") }; return nil`, hides},
		"hiding, second":      {`if !there || err != nil { return errs.NotFound("user") }; return nil`, hides},
		"two errors":          {`return errors.Join(err, rows.Err(), fmt.Errorf("x"))`, ""},
		"an outage":           {`return errors.Join(err, errs.Unavailable(err))`, ""},
		"alone":               {`if err == nil && !there { return errs.NotFound("user") }; return err`, ""},
		"with facts":          {`return fmt.Errorf("user %d: %w", 7, errs.NotFound("user"))`, ""},
		"outage with a cause": {`return &errs.Error{Kind: errs.KindUnavailable, Cause: err}`, ""},
		"known":               {`if errors.Is(err, sql.ErrNoRows) { return errs.NotFound("user") }; return err`, ""},
		"narrowed":            {`if err != nil && isNone(err) { return errs.NotFound("user") }; return err`, ""},
		"passed on":           {`if err != nil { return missing(err, "user") }; return nil`, ""},
		"another error":       {`if err != nil { return err }; return errs.NotFound("user")`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			positions := token.NewFileSet()
			parse := func(code any) *ast.File {
				parsed, err := parser.ParseFile(positions, "x.go", code, parser.SkipObjectResolution)
				if err != nil {
					t.Fatal(err)
				}
				return parsed
			}
			found := strings.Join(refusalsAmiss(map[string][]*ast.File{
				refusals: {parse(errorsGo)},
				store: {parse(`package store
import ("errors"; "fmt"; "conduit/internal/errs")
var errGone = errs.NotFound("user")
func missing(err error, noun string) error {
	if errors.Is(err, sql.ErrNoRows) { return errs.NotFound(noun) }
	return err
}
func (s *Store) taken(err error) error { return errs.Taken("username") }
func (s *Store) tried(there bool, rows sql.Rows) (err error) { ` + test.code + ` }`)},
			}, positions), "\n")
			if test.want == "" && found != "" || !strings.Contains(found, test.want) {
				t.Errorf("found %q, want %q", found, test.want)
			}
		})
	}
}

// refusalsAmiss returns where refusals do not stand alone. It goes by names, without types: a name that is a refusal
// somewhere in a function, or a function that returns one somewhere, is one everywhere in its room.
func refusalsAmiss(rooms map[string][]*ast.File, positions *token.FileSet) (found []string) {
	makers := map[string]bool{} // functions, methods and variables, by room and name
	for grown := true; grown; {
		before := len(makers)
		for room, files := range rooms {
			for _, file := range files {
				noteMakers(scope{room: room, names: imports(file), makers: makers}, file)
			}
		}
		grown = len(makers) > before
	}
	for room, files := range rooms {
		for _, file := range files {
			for _, declared := range file.Decls {
				function, ok := declared.(*ast.FuncDecl)
				if !ok || function.Body == nil {
					continue
				}
				s := scope{room: room, names: imports(file), makers: makers, local: map[string]bool{}}
				s.noteLocals(function.Body)
				ast.Inspect(function.Body, func(node ast.Node) bool {
					if why := s.amiss(node); why != "" {
						found = append(found, fmt.Sprintf("%s: %s", positions.Position(node.Pos()), why))
					}
					return true
				})
			}
		}
	}
	return found
}

// imports are the packages of a file by the names it has for them.
func imports(file *ast.File) map[string]string {
	names := map[string]string{}
	for _, imported := range file.Imports {
		full, err := strconv.Unquote(imported.Path.Value)
		if err != nil {
			panic(err) // the parser has read it
		}
		name := path.Base(full)
		if imported.Name != nil {
			name = imported.Name.Name
		}
		names[name] = full
	}
	return names
}

// scope is what is known where an expression stands.
type scope struct {
	room   string
	names  map[string]string
	makers map[string]bool
	local  map[string]bool // variables of the function that are a refusal at some time
}

// noteMakers adds what in a file makes refusals.
func noteMakers(s scope, file *ast.File) {
	for _, declared := range file.Decls {
		switch declared := declared.(type) {
		case *ast.FuncDecl:
			if declared.Body == nil {
				continue
			}
			for _, statement := range outermost(declared.Body) {
				if last := statement.Results; len(last) > 0 && s.isRefusal(last[len(last)-1]) {
					s.makers[s.room+"."+declared.Name.Name] = true
				}
			}
		case *ast.GenDecl:
			for _, spec := range declared.Specs {
				values, ok := spec.(*ast.ValueSpec)
				for i := 0; ok && i < len(values.Values) && i < len(values.Names); i++ {
					if s.isRefusal(values.Values[i]) {
						s.makers[s.room+"."+values.Names[i].Name] = true
					}
				}
			}
		}
	}
}

// outermost are the return statements of a function, without those of the functions in it.
func outermost(body *ast.BlockStmt) (statements []*ast.ReturnStmt) {
	ast.Inspect(body, func(node ast.Node) bool {
		if statement, ok := node.(*ast.ReturnStmt); ok {
			statements = append(statements, statement)
		}
		_, inner := node.(*ast.FuncLit)
		return !inner
	})
	return statements
}

func (s scope) noteLocals(body *ast.BlockStmt) {
	note := func(to, value ast.Expr) {
		if name, ok := to.(*ast.Ident); ok && s.isRefusal(value) {
			s.local[name.Name] = true
		}
	}
	ast.Inspect(body, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.AssignStmt:
			for i := 0; i < len(node.Lhs) && len(node.Lhs) == len(node.Rhs); i++ {
				note(node.Lhs[i], node.Rhs[i])
			}
		case *ast.ValueSpec:
			for i := 0; i < len(node.Values) && len(node.Names) == len(node.Values); i++ {
				note(node.Names[i], node.Values[i])
			}
		}
		return true
	})
}

// isRefusal reports whether an expression is a refusal that blames the request. Unavailable is none: it is an outage.
func (s scope) isRefusal(expression ast.Expr) bool {
	switch e := ast.Unparen(expression).(type) {
	case *ast.Ident:
		return s.local[e.Name] || s.makers[s.room+"."+e.Name]
	case *ast.CallExpr:
		full, name := s.function(e)
		return name != "Unavailable" && s.makers[full+"."+name]
	case *ast.SelectorExpr:
		if of, ok := e.X.(*ast.Ident); ok {
			return s.makers[s.names[of.Name]+"."+e.Sel.Name] && e.Sel.Name != "Unavailable"
		}
	case *ast.UnaryExpr:
		literal, ok := e.X.(*ast.CompositeLit)
		return ok && s.isErrorType(literal.Type) && !strings.HasSuffix(member(literal, "Kind"), "KindUnavailable")
	}
	return false
}

// function returns the package and the name of what is called. A method counts as one of the room's own.
func (s scope) function(call *ast.CallExpr) (full, name string) {
	switch called := call.Fun.(type) {
	case *ast.Ident:
		return s.room, called.Name
	case *ast.SelectorExpr:
		if of, ok := called.X.(*ast.Ident); ok && s.names[of.Name] != "" {
			return s.names[of.Name], called.Sel.Name
		}
		return s.room, called.Sel.Name
	}
	return "", ""
}

func (s scope) isErrorType(expression ast.Expr) bool {
	switch e := expression.(type) {
	case *ast.Ident:
		return s.room == refusals && e.Name == "Error"
	case *ast.SelectorExpr:
		of, ok := e.X.(*ast.Ident)
		return ok && s.names[of.Name] == refusals && e.Sel.Name == "Error"
	}
	return false
}

// member returns the name that a member of a literal is set to, "set" if it is no name, and "" if it is not set.
func member(literal *ast.CompositeLit, key string) string {
	for _, element := range literal.Elts {
		pair, ok := element.(*ast.KeyValueExpr)
		if name, named := pair.Key.(*ast.Ident); !ok || !named || name.Name != key {
			continue
		}
		switch value := pair.Value.(type) {
		case *ast.Ident:
			return value.Name
		case *ast.SelectorExpr:
			return value.Sel.Name
		}
		return "set"
	}
	return ""
}

// amiss returns what is wrong with a node, or "".
func (s scope) amiss(node ast.Node) string {
	switch node := node.(type) {
	case *ast.CallExpr:
		full, name := s.function(node)
		several := full == "fmt" && name == "Errorf" && len(node.Args) > 0 && wraps(node.Args[0]) > 1
		if full == "errors" && name == "Join" || several {
			if slices.ContainsFunc(node.Args, s.isRefusal) {
				return full + "." + name + " of a refusal and another error is shown as the refusal: return one of them"
			}
		}
	case *ast.CompositeLit:
		refusal := s.isErrorType(node.Type) && !strings.HasSuffix(member(node, "Kind"), "KindUnavailable")
		if refusal && member(node, "Cause") != "" {
			return "a refusal with a cause: what could not be found out is Unavailable"
		}
	case *ast.IfStmt:
		if !slices.Contains(findingOut, s.room) {
			return "" // elsewhere an error may well be about what was sent
		}
		for _, hidden := range failures(node.Cond) {
			for _, statement := range node.Body.List {
				returned, ok := statement.(*ast.ReturnStmt)
				if !ok || len(returned.Results) == 0 {
					continue
				}
				if last := returned.Results[len(returned.Results)-1]; s.isRefusal(last) && !mentions(last, hidden) {
					return "a refusal hides " + hidden + ": return it first"
				}
			}
		}
	}
	return ""
}

func mentions(expression ast.Expr, variable string) (does bool) {
	ast.Inspect(expression, func(node ast.Node) bool {
		name, ok := node.(*ast.Ident)
		does = does || ok && name.Name == variable
		return true
	})
	return does
}

// wraps counts the errors that a format wraps.
func wraps(format ast.Expr) int {
	if literal, ok := format.(*ast.BasicLit); ok {
		return strings.Count(literal.Value, "%w")
	}
	return 0
}

// failures are the errors of which it is enough for a condition that they are not nil.
func failures(condition ast.Expr) []string {
	e, ok := ast.Unparen(condition).(*ast.BinaryExpr)
	if !ok {
		return nil
	}
	if e.Op == token.LOR {
		return append(failures(e.X), failures(e.Y)...)
	}
	name, named := e.X.(*ast.Ident)
	if null, isNull := e.Y.(*ast.Ident); named && isNull && null.Name == "nil" && e.Op == token.NEQ &&
		strings.HasSuffix(strings.ToLower(name.Name), "err") {
		return []string{name.Name}
	}
	return nil
}
