package load

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"mime/multipart"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// What customers find in pages.
var (
	assetLink   = regexp.MustCompile(`/assets/[a-z0-9-]+\.([0-9a-f]{12})\.[a-z0-9]+`)
	productLink = regexp.MustCompile(`href="(/products/([a-z0-9-]+))"`)
	formKey     = regexp.MustCompile(`name="key" value="([A-Za-z0-9]{16,100})"`)
	orderNumber = regexp.MustCompile(`data-order="([0-9]+)"`)
)

// browse looks around: the catalogue with its style, script and pictures, and
// some products.
func (c *customer) browse(ctx context.Context) {
	products, ok := c.home(ctx)
	for range 1 + c.rand.IntN(3) {
		if !ok {
			return
		}
		c.think()
		slug := products[c.rand.IntN(len(products))]
		_, ok = c.get(ctx, "/products/"+slug, page(http.StatusOK, "Put into the cart"))
	}
}

// home opens the catalogue and returns its products. Assets are asked for
// after the page, perhaps of another release: they must be there, and be what
// their names say.
func (c *customer) home(ctx context.Context) ([]string, bool) {
	a, ok := c.get(ctx, "/", page(http.StatusOK, "Sundial Shop"))
	if !ok {
		return nil, false
	}
	var products []string
	for _, m := range productLink.FindAllSubmatch(a.body, -1) {
		products = append(products, string(m[2]))
	}
	if len(products) == 0 {
		c.load.book.fail("GET /", fmt.Errorf("the catalogue is empty: %s", a.excerpt()))
		return nil, false
	}
	links := assetLink.FindAllSubmatch(a.body, -1)
	for range min(2, len(links)) {
		m := links[c.rand.IntN(len(links))]
		if _, ok := c.get(ctx, string(m[0]), assetOf(string(m[1]))); !ok {
			return nil, false
		}
	}
	return products, true
}

// assetOf wants a body with the hash that is in its name.
func assetOf(hash string) func(answer) error {
	return func(a answer) error {
		if err := a.is(http.StatusOK); err != nil {
			return err
		}
		sum := sha256.Sum256(a.body)
		if got := hex.EncodeToString(sum[:6]); got != hash {
			return fmt.Errorf("the asset is not what its name says: content has %s", got)
		}
		return nil
	}
}

// fillCart puts things into the cart and returns how many pieces are in it.
// The cart must still be there at the next click, whoever answers it.
func (c *customer) fillCart(ctx context.Context) (pieces int, ok bool) {
	products, ok := c.home(ctx)
	if !ok {
		return 0, false
	}
	for range 1 + c.rand.IntN(3) {
		c.think()
		quantity := 1 + c.rand.IntN(2)
		slug := products[c.rand.IntN(len(products))]
		_, ok := c.post(ctx, "/cart", formType, form("product", slug, "quantity", strconv.Itoa(quantity)), func(a answer) error {
			return a.is(http.StatusSeeOther)
		})
		if !ok {
			return 0, false
		}
		pieces += quantity
	}
	_, ok = c.get(ctx, "/cart", page(http.StatusOK, fmt.Sprintf(`data-pieces="%d"`, pieces)))
	return pieces, ok
}

// buy fills a cart and buys it, by the form or as a program would.
func (c *customer) buy(ctx context.Context) {
	pieces, ok := c.fillCart(ctx)
	if !ok {
		return
	}
	c.think()
	a, ok := c.get(ctx, "/checkout", page(http.StatusOK, `name="key"`))
	if !ok {
		return
	}
	found := formKey.FindSubmatch(a.body)
	if found == nil {
		c.load.book.fail("GET /checkout", fmt.Errorf("the form has no key: %s", a.excerpt()))
		return
	}
	c.think()
	p := purchase{Key: string(found[1]), Name: fmt.Sprintf("Customer %d", c.number), Email: c.email()}
	if c.rand.IntN(2) == 0 {
		c.buyByForm(ctx, p)
	} else {
		c.buyByProgram(ctx, p, pieces)
	}
}

// email is this customer's own: two orders with it are one too many.
func (c *customer) email() string { return fmt.Sprintf("c%d.%s@load.example", c.number, c.load.run) }

type purchase struct {
	Key   string `json:"key"`
	Name  string `json:"name"`
	Email string `json:"email"`
}

// buyByForm presses the button, some press it twice. The order counts once
// its page has named it.
func (c *customer) buyByForm(ctx context.Context, p purchase) {
	var location string
	sent := int64(1 + c.rand.IntN(5)/4)
	for range sent {
		a, ok := c.post(ctx, "/checkout", formType, form("key", p.Key, "name", p.Name, "email", p.Email), func(a answer) error {
			if err := a.is(http.StatusSeeOther); err != nil {
				return err
			}
			if to := a.header.Get("Location"); location != "" && to != location || !strings.HasPrefix(to, "/orders/") {
				return fmt.Errorf("sent to %q, before to %q", to, location)
			}
			return nil
		})
		if !ok {
			return
		}
		location = a.header.Get("Location")
	}
	number := strings.TrimPrefix(location, "/orders/")
	a, ok := c.get(ctx, location, page(http.StatusOK, `data-order="`+number+`"`))
	if !ok {
		return
	}
	id, err := strconv.ParseInt(string(orderNumber.FindSubmatch(a.body)[1]), 10, 64)
	if err != nil {
		c.load.book.fail("GET "+location, fmt.Errorf("order number: %w", err))
		return
	}
	c.load.book.ordered(p.Key, order{id: id, email: p.Email, sent: sent})
}

// buyByProgram sends JSON, sometimes twice. The order counts once an answer
// has named it.
func (c *customer) buyByProgram(ctx context.Context, p purchase, pieces int) {
	body, err := json.Marshal(p)
	if err != nil {
		c.load.book.fail("POST /checkout", err)
		return
	}
	var o order
	for sent := range int64(1 + c.rand.IntN(5)/4) {
		_, ok := c.post(ctx, "/checkout", "application/json", body, func(a answer) error {
			id, err := orderOf(a, pieces, sent == 0)
			if err == nil && o.id != 0 && id != o.id {
				err = fmt.Errorf("the same key is order %d and order %d", o.id, id)
			}
			if err == nil {
				o = order{id: id, email: p.Email, sent: sent + 1}
			}
			return err
		})
		if o.id != 0 {
			o.sent = sent + 1
			c.load.book.ordered(p.Key, o)
		}
		if !ok {
			return
		}
	}
}

// orderOf reads the order's number: 201 for the first time, then 200.
func orderOf(a answer, pieces int, first bool) (int64, error) {
	want := http.StatusOK
	if first {
		want = http.StatusCreated
	}
	if err := a.is(want); err != nil {
		return 0, err
	}
	var got struct {
		Order struct {
			ID     int64 `json:"id"`
			Pieces int   `json:"pieces"`
		} `json:"order"`
	}
	if err := json.Unmarshal(a.body, &got); err != nil {
		return 0, fmt.Errorf("read order: %w: %s", err, a.excerpt())
	}
	if got.Order.ID == 0 || got.Order.Pieces != pieces {
		return 0, fmt.Errorf("the order should have %d pieces: %s", pieces, a.excerpt())
	}
	return got.Order.ID, nil
}

// sendPicture sends a picture of a product and looks at it.
func (c *customer) sendPicture(ctx context.Context) {
	products, ok := c.home(ctx)
	if !ok {
		return
	}
	c.think()
	picture, err := c.picture()
	if err != nil {
		c.load.book.fail("draw picture", err)
		return
	}
	body, kind, err := multipartOf(picture)
	if err != nil {
		c.load.book.fail("draw picture", err)
		return
	}
	sum := sha256.Sum256(picture)
	sha := hex.EncodeToString(sum[:])
	path := "/products/" + products[c.rand.IntN(len(products))] + "/images"
	if _, ok := c.post(ctx, path, kind, body, page(http.StatusCreated, `"`+sha+`"`)); !ok {
		return
	}
	c.load.book.uploaded(sha)
	c.get(ctx, "/uploads/"+sha, sameBytes(sum))
}

func sameBytes(sum [sha256.Size]byte) func(answer) error {
	return func(a answer) error {
		if err := a.is(http.StatusOK); err != nil {
			return err
		}
		if sha256.Sum256(a.body) != sum {
			return fmt.Errorf("the picture of %d bytes is not the one that was sent", len(a.body))
		}
		return nil
	}
}

// picture draws something that nobody has drawn before.
func (c *customer) picture() ([]byte, error) {
	img := image.NewRGBA(image.Rect(0, 0, 48, 36))
	for y := range 36 {
		for x := range 48 {
			n := c.rand.Uint32()
			img.SetRGBA(x, y, color.RGBA{R: 200 + uint8(n&31), G: uint8(120 + y/2 + int(n>>8&15)), B: uint8(40 + x/2), A: 255})
		}
	}
	var out bytes.Buffer
	if err := png.Encode(&out, img); err != nil {
		return nil, err
	}
	// Bytes after the end of a PNG are allowed; the run's name makes it unique.
	fmt.Fprintf(&out, "%s %d", c.load.run, c.number)
	return out.Bytes(), nil
}

func multipartOf(picture []byte) (body []byte, kind string, err error) {
	var out bytes.Buffer
	w := multipart.NewWriter(&out)
	part, err := w.CreateFormFile("image", "picture.png")
	if err != nil {
		return nil, "", err
	}
	if _, err := part.Write(picture); err != nil {
		return nil, "", err
	}
	if err := w.Close(); err != nil {
		return nil, "", err
	}
	return out.Bytes(), w.FormDataContentType(), nil
}
