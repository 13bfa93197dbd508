package store

import "slices"

// ExportedTables returns the tables that an export shows, and those that it does not with the reasons.
func ExportedTables() (shown []string, left map[string]string) {
	for _, section := range exportSections {
		shown = append(shown, section.tables...)
	}
	return slices.Sorted(slices.Values(shown)), notExported
}
