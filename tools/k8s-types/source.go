package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"log"
	"path/filepath"
	"reflect"
	"sort"
	"strings"
)

// special types have a form of their own in JSON or protobuf.
var special = map[string]string{
	"meta/v1.Time": "time", "meta/v1.MicroTime": "micro_time", "meta/v1.Duration": "duration",
	"meta/v1.FieldsV1": "fields_v1", "resource.Quantity": "quantity",
	"util/intstr.IntOrString": "int_or_string", "runtime.RawExtension": "raw",
	"authentication/v1.ExtraValue": "string_list", "authorization/v1.ExtraValue": "string_list",
	"types.UID": "string", "types.NamespacedName": "string",
}

// source holds the parsed packages, by short name ("core/v1"), loaded when first asked for.
type source struct {
	api, machinery string
	packages       map[string]map[string]declaration
}

type declaration struct {
	spec    *ast.TypeSpec
	markers []string
	imports map[string]string // local name -> short name of the package
}

func newSource(api, machinery string) *source {
	return &source{api, machinery, map[string]map[string]declaration{}}
}

func (s *source) dir(pkg string) string {
	if pkg == "meta/v1" {
		return filepath.Join(s.machinery, "pkg/apis/meta/v1")
	}
	return filepath.Join(s.api, pkg)
}

// short turns an import path into the name of a package here.
func short(path string) string {
	path = strings.TrimPrefix(path, "k8s.io/api/")
	path = strings.TrimPrefix(path, "k8s.io/apimachinery/pkg/apis/")
	return strings.TrimPrefix(strings.TrimPrefix(path, "k8s.io/apimachinery/pkg/"), "api/")
}

func base(pkg string) string { return pkg[strings.LastIndex(pkg, "/")+1:] }

func markers(groups ...*ast.CommentGroup) (found []string) {
	for _, group := range groups {
		if group == nil {
			continue
		}
		for _, comment := range group.List {
			text := strings.TrimSpace(strings.TrimPrefix(comment.Text, "//"))
			if strings.HasPrefix(text, "+") {
				found = append(found, strings.TrimPrefix(text, "+"))
			}
		}
	}
	return found
}

func has(marks []string, mark string) bool {
	for _, m := range marks {
		if m == mark {
			return true
		}
	}
	return false
}

func (s *source) load(pkg string) map[string]declaration {
	if loaded, ok := s.packages[pkg]; ok {
		return loaded
	}
	loaded := map[string]declaration{}
	keep := func(info fs.FileInfo) bool {
		return !strings.HasSuffix(info.Name(), "_test.go") && !strings.Contains(info.Name(), "generated")
	}
	parsed, err := parser.ParseDir(token.NewFileSet(), s.dir(pkg), keep, parser.ParseComments)
	if err != nil {
		log.Fatal(err)
	}
	for _, p := range parsed {
		for _, file := range p.Files {
			collect(file, loaded)
		}
	}
	s.packages[pkg] = loaded
	return loaded
}

func collect(file *ast.File, into map[string]declaration) {
	imports := map[string]string{}
	for _, spec := range file.Imports {
		name := short(strings.Trim(spec.Path.Value, `"`))
		if spec.Name != nil {
			imports[spec.Name.Name] = name
		} else {
			imports[base(name)] = name
		}
	}
	for _, decl := range file.Decls {
		general, ok := decl.(*ast.GenDecl)
		if !ok || general.Tok != token.TYPE {
			continue
		}
		for _, spec := range general.Specs {
			t := spec.(*ast.TypeSpec)
			into[t.Name.Name] = declaration{t, markers(general.Doc, t.Doc), imports}
		}
	}
}

func split(name string) (pkg, local string) {
	dot := strings.LastIndex(name, ".")
	return name[:dot], name[dot+1:]
}

func (s *source) find(name string) declaration {
	pkg, local := split(name)
	found, ok := s.load(pkg)[local]
	if !ok {
		log.Fatalf("no type %s", name)
	}
	return found
}

// resolve writes a Go type in our notation; named types that are not structs are replaced.
func (s *source) resolve(pkg string, imports map[string]string, expr ast.Expr) string {
	switch t := expr.(type) {
	case *ast.StarExpr:
		return s.resolve(pkg, imports, t.X)
	case *ast.ArrayType:
		if id, ok := t.Elt.(*ast.Ident); ok && id.Name == "byte" {
			return "bytes"
		}
		return "[]" + s.resolve(pkg, imports, t.Elt)
	case *ast.MapType:
		return "{}" + s.resolve(pkg, imports, t.Value)
	case *ast.SelectorExpr:
		return s.named(imports[t.X.(*ast.Ident).Name] + "." + t.Sel.Name)
	case *ast.Ident:
		switch t.Name {
		case "string", "bool", "int32", "int64", "float64":
			return t.Name
		}
		return s.named(pkg + "." + t.Name)
	}
	log.Fatalf("%s: unexpected type %T", pkg, expr)
	return ""
}

func (s *source) named(name string) string {
	if known, ok := special[name]; ok {
		return known
	}
	found := s.find(name)
	if _, ok := found.spec.Type.(*ast.StructType); ok {
		return name
	}
	pkg, _ := split(name)
	return s.resolve(pkg, found.imports, found.spec.Type)
}

type field struct {
	name, number, kind string
	flags              []string
	embedded           bool
}

// fields are the lines of one type, in the order of the source.
func (s *source) fields(name string) (result []field) {
	pkg, _ := split(name)
	found := s.find(name)
	for _, f := range found.spec.Type.(*ast.StructType).Fields.List {
		if f.Tag == nil {
			continue
		}
		tag := reflect.StructTag(strings.Trim(f.Tag.Value, "`"))
		json := strings.Split(tag.Get("json"), ",")
		number := "0"
		if wire := strings.Split(tag.Get("protobuf"), ","); len(wire) > 1 {
			number = wire[1]
		}
		kind := s.resolve(pkg, found.imports, f.Type)
		switch {
		case kind == "meta/v1.TypeMeta":
			result = append(result, field{name: "apiVersion", number: "0", kind: "string"},
				field{name: "kind", number: "0", kind: "string"})
		case json[0] == "" && len(json) > 1:
			result = append(result, field{number: number, kind: kind, embedded: true})
		case json[0] != "" && json[0] != "-":
			flags := flags(f, kind, tag, json[1:], markers(f.Doc, f.Comment))
			result = append(result, field{name: json[0], number: number, kind: kind, flags: flags})
		}
	}
	return result
}

func flags(f *ast.Field, kind string, tag reflect.StructTag, options, marks []string) (flags []string) {
	omits := has(options, "omitempty") || has(options, "omitzero")
	_, pointer := f.Type.(*ast.StarExpr)
	if has(marks, "required") || (!omits && !has(marks, "optional")) {
		flags = append(flags, "required")
	}
	if pointer || !omits {
		flags = append(flags, "keep")
	}
	if has(marks, "mapType=atomic") || has(marks, "structType=atomic") {
		flags = append(flags, "atomic")
	}
	if has(marks, "listType=set") {
		flags = append(flags, "list=set")
	}
	if has(marks, "listType=map") {
		var keys []string
		for _, m := range marks {
			if key, ok := strings.CutPrefix(m, "listMapKey="); ok {
				keys = append(keys, key)
			}
		}
		flags = append(flags, "list=map:"+strings.Join(keys, ","))
	}
	if strategy := tag.Get("patchStrategy"); strategy != "" {
		strategy = strings.ReplaceAll(strategy, ",", "+")
		if key := tag.Get("patchMergeKey"); key != "" {
			strategy = strings.Replace(strategy, "merge", "merge:"+key, 1)
		}
		flags = append(flags, "patch="+strategy)
	}
	return flags
}

// closure lists the names of all types that roots reach, sorted.
func (s *source) closure(roots []string) (names []string) {
	seen := map[string]bool{}
	for todo := append([]string{}, roots...); len(todo) > 0; {
		name := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[name] {
			continue
		}
		seen[name] = true
		names = append(names, name)
		for _, f := range s.fields(name) {
			kind := f.kind
			for strings.HasPrefix(kind, "[]") || strings.HasPrefix(kind, "{}") {
				kind = kind[2:]
			}
			if strings.Contains(kind, ".") {
				todo = append(todo, kind)
			}
		}
	}
	sort.Strings(names)
	return names
}

func (s *source) write(out io.Writer, name string) {
	suffix := ""
	if has(s.find(name).markers, "structType=atomic") {
		suffix = " atomic"
	}
	fmt.Fprintf(out, "\ntype %s%s\n", name, suffix)
	for _, f := range s.fields(name) {
		if f.embedded {
			fmt.Fprintf(out, "  + %s %s\n", f.number, f.kind)
			continue
		}
		line := fmt.Sprintf("  %s %s %s", f.name, f.number, f.kind)
		fmt.Fprintln(out, strings.TrimRight(line+" "+strings.Join(f.flags, " "), " "))
	}
}
