package manifest

import (
	"encoding/json"
	"regexp"
	"strings"
)

// lookRuby knows Rails and plain Rack.
func lookRuby(s *sketch) {
	text, ok := s.read("Gemfile")
	if !ok {
		return
	}
	gem := func(name string) bool {
		return regexp.MustCompile(`(?m)^\s*gem\s+["']` + name + `["']`).MatchString(text)
	}
	install := []string{"bundle config set --local path vendor/bundle", "bundle install"}
	if s.store == "" {
		for _, known := range [][2]string{{"pg", "postgres"}, {"mysql2", "mysql"}, {"trilogy", "mysql"}, {"sqlite3", "sqlite"}} {
			if s.store == "" && gem(known[0]) {
				s.store = known[1]
			}
		}
	}
	if gem("sidekiq") {
		s.extra(process{name: "worker", command: "bundle exec sidekiq"})
	}
	if !gem("rails") {
		s.steps(nil, install...)
		s.suggest(process{name: "web", command: "bundle exec rackup -o 127.0.0.1 -p $PORT", routed: true})
		s.note("Gemfile: a Rack app")
		return
	}
	if gem("solid_queue") {
		s.extra(process{name: "worker", command: "bin/jobs"})
	}
	if gem("sprockets-rails") || gem("propshaft") {
		install = append(install, "SECRET_KEY_BASE_DUMMY=1 RAILS_ENV=production bin/rails assets:precompile")
	}
	s.steps(nil, install...)
	ready := "{tcp: true}"
	if routes, ok := s.read("config/routes.rb"); ok && strings.Contains(routes, "rails/health#show") {
		ready = "{http: /up}"
	}
	s.propose(process{name: "web", command: "bin/rails server -b 127.0.0.1", routed: true, ready: ready})
	s.migration("database", task{command: "bin/rails db:migrate", idempotent: true})
	s.variables = append(s.variables, [2]string{"RAILS_ENV", "production"}, [2]string{"RAILS_LOG_TO_STDOUT", "1"})
	s.secrets = append(s.secrets, "SECRET_KEY_BASE")
	s.note("Gemfile: Rails")
}

// lookPHP knows Laravel and a public directory.
func lookPHP(s *sketch) {
	text, ok := s.read("composer.json")
	if !ok {
		return
	}
	var composer struct {
		Require map[string]any `json:"require"`
	}
	if json.Unmarshal([]byte(text), &composer) != nil {
		s.note("composer.json: not readable as JSON, left out")
		return
	}
	needs := func(name string) bool { _, ok := composer.Require[name]; return ok }
	s.steps(nil, "composer install --no-dev --no-interaction --optimize-autoloader")
	if !needs("laravel/framework") {
		root := "."
		if s.has("public") {
			root = "public"
		}
		s.suggest(process{name: "web", command: "php -S 127.0.0.1:$PORT -t " + root, routed: true})
		s.note("composer.json: PHP; its built-in server is a stopgap, use FrankenPHP or RoadRunner for real users")
		return
	}
	web := "php artisan serve --host=127.0.0.1 --port=$PORT"
	if needs("laravel/octane") {
		web = "php artisan octane:start --host=127.0.0.1 --port=$PORT"
	}
	ready := "{tcp: true}"
	if app, ok := s.read("bootstrap/app.php"); ok && strings.Contains(app, "'/up'") {
		ready = "{http: /up}"
	}
	s.propose(process{name: "web", command: web, routed: true, ready: ready})
	if needs("laravel/horizon") {
		s.extra(process{name: "worker", command: "php artisan horizon"})
	}
	s.jobs = append(s.jobs, task{name: "schedule", command: "php artisan schedule:run", schedule: "* * * * *"})
	s.migration("database", task{command: "php artisan migrate --force", idempotent: true})
	s.variables = append(s.variables, [2]string{"APP_ENV", "production"})
	s.secrets = append(s.secrets, "APP_KEY")
	s.note("composer.json: Laravel")
}

// lookPython knows Django; of other apps only the packages.
func lookPython(s *sketch) {
	requirements, pinned := s.read("requirements.txt")
	project, modern := s.read("pyproject.toml")
	manage, django := s.read("manage.py")
	if !pinned && !modern && !django {
		return
	}
	install := ".venv/bin/pip install ."
	if pinned {
		install = ".venv/bin/pip install -r requirements.txt"
	}
	s.steps(nil, "python3 -m venv .venv", install)
	all := strings.ToLower(requirements + project)
	if s.store == "" {
		s.store = firstOf(all, [][2]string{{"psycopg", "postgres"}, {"asyncpg", "postgres"}, {"mysqlclient", "mysql"}, {"pymysql", "mysql"}})
	}
	if strings.Contains(all, "celery") {
		s.note("Python: Celery is used; add its worker under services")
	}
	m := regexp.MustCompile(`DJANGO_SETTINGS_MODULE["'],\s*["']([A-Za-z0-9_]+)(\.[A-Za-z0-9_.]+)["']`).FindStringSubmatch(manage)
	if m == nil {
		s.note("Python: packages only; write the command of the service \"web\"")
		return
	}
	s.suggest(process{name: "web", command: ".venv/bin/python -m gunicorn --bind 127.0.0.1:$PORT " + m[1] + ".wsgi", routed: true})
	s.migration("database", task{command: ".venv/bin/python manage.py migrate --noinput", idempotent: true})
	s.note("manage.py: Django, project %s", m[1])
}

// lookNode knows Next.js and the start script.
func lookNode(s *sketch) {
	text, ok := s.read("package.json")
	if !ok {
		return
	}
	var pkg struct {
		Name         string            `json:"name"`
		Scripts      map[string]string `json:"scripts"`
		Dependencies map[string]any    `json:"dependencies"`
	}
	if json.Unmarshal([]byte(text), &pkg) != nil {
		s.note("package.json: not readable as JSON, left out")
		return
	}
	alone := len(s.build) == 0 // else it builds the assets of another language's app
	if _, name, scoped := strings.Cut(pkg.Name, "/"); alone && pkg.Name != "" {
		if !scoped {
			name = pkg.Name
		}
		s.app = nameFrom(name)
	}
	manager, install := s.packageManager()
	lines := []string{install}
	if pkg.Scripts["build"] != "" {
		lines = append(lines, manager+" run build")
	}
	s.steps(nil, lines...)
	depends := func(name string) bool { _, ok := pkg.Dependencies[name]; return ok }
	if s.store == "" {
		for _, known := range [][2]string{{"pg", "postgres"}, {"postgres", "postgres"}, {"mysql2", "mysql"}, {"better-sqlite3", "sqlite"}, {"sqlite3", "sqlite"}} {
			if s.store == "" && depends(known[0]) {
				s.store = known[1]
			}
		}
	}
	if depends("@prisma/client") && s.has("prisma/migrations") {
		s.migration("database", task{command: "node_modules/.bin/prisma migrate deploy", idempotent: true})
	}
	s.startNode(pkg.Scripts["start"], manager, depends("next"), alone)
}

// startNode says how the app is started, if it is one and not only assets.
func (s *sketch) startNode(start, manager string, next, alone bool) {
	if alone {
		s.variables = append(s.variables, [2]string{"NODE_ENV", "production"})
	}
	switch {
	case !alone:
		s.note("package.json: assets, built with %s", manager)
	case next:
		s.suggest(process{name: "web", command: "node_modules/.bin/next start -H 127.0.0.1", routed: true})
		s.note("package.json: Next.js, built with %s", manager)
	case strings.HasPrefix(start, "node ") && printable(start):
		s.suggest(process{name: "web", command: start, routed: true})
		s.note("package.json: Node, started with %q", start)
	case start != "":
		s.suggest(process{name: "web", command: manager + " run start", routed: true})
		s.note("package.json: Node, started with %s run start; better name the program itself, so that it gets the stop signal", manager)
	default:
		s.note("package.json: no start script")
	}
}

// packageManager follows the lock file.
func (s *sketch) packageManager() (name, install string) {
	switch {
	case s.has("pnpm-lock.yaml"):
		return "pnpm", "pnpm install --frozen-lockfile"
	case s.has("yarn.lock"):
		return "yarn", "yarn install --frozen-lockfile"
	case s.has("bun.lock"), s.has("bun.lockb"):
		return "bun", "bun install --frozen-lockfile"
	case s.has("package-lock.json"):
		return "npm", "npm ci"
	}
	return "npm", "npm install"
}
