package mariadb_test

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/mariadb"
)

// A process that makes a release's user dies at each point of its way. Whether
// the user is noon's is known afterwards: somebody else's is never taken over
// nor dropped, noon's own is gone on with, or dropped, and nothing else stays.
func TestKilledWhileItMakesAUser(t *testing.T) {
	t.Parallel()
	for _, foreign := range []bool{true, false} {
		for _, after := range []string{"again", "drop"} {
			t.Run(fmt.Sprintf("foreign %t, %s", foreign, after), func(t *testing.T) {
				t.Parallel()
				s := newShop(t, people)
				name := mariadb.Name(s.app, "r9")
				if foreign {
					s.run(t, s.root(), "CREATE USER "+name+" IDENTIFIED BY 'foreign'")
				}
				for point := 1; ; point++ {
					died, err := s.sent(t, errand{Release: "r9"}, point)
					if died == "" {
						if foreign != (err != nil) || point < 5 {
							t.Fatalf("in the end, after %d points: %v", point-1, err)
						}
						break
					}
					if after == "drop" {
						if err := s.engine.DropRole(t.Context(), "r9"); err != nil {
							t.Fatalf("after %s, the %d. point: %v", died, point, err)
						}
						s.left(t, name, foreign)
					} else if _, err := s.engine.Role(t.Context(), "r9", 0, password); foreign != (noon.KindOf(err) == noon.Conflict && strings.Contains(err.Error(), "noon has not made")) {
						t.Fatalf("after %s, the %d. point: %v", died, point, err)
					}
					if foreign {
						s.left(t, name, true)
					} else if after == "again" {
						says(t, s.as(name, name), "SELECT count(*) FROM users", "2")
						if err := s.engine.DropRole(t.Context(), "r9"); err != nil {
							t.Fatal(err)
						}
					}
				}
			})
		}
	}
}

// left makes sure that of a release there is nothing but, perhaps, the user of
// somebody else, as it was.
func (s *shop) left(t *testing.T, name string, foreign bool) {
	t.Helper()
	users := "0"
	if foreign {
		users = "1"
		if err := s.try(t, strings.Replace(s.as(name, "information_schema"), password, "foreign", 1), "SELECT 1"); err != nil {
			t.Errorf("somebody else's user: %v", err)
		}
	}
	says(t, s.root(), "SELECT count(*) FROM mysql.user WHERE user = '"+name+"'", users)
	sum := sha256.Sum256([]byte(s.app + "\x00" + name)) // of the name that it is made under
	says(t, s.root(), fmt.Sprintf("SELECT count(*) FROM mysql.user WHERE user = 'noon_claim_%x'", sum[:4]), "0")
	says(t, s.root(), "SELECT count(*) FROM information_schema.schemata WHERE schema_name = '"+name+"'", "0")
	says(t, s.root(), "SELECT count(*) FROM noon_role WHERE name = '"+name+"'", "0")
}
