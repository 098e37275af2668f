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
	formPrice   = regexp.MustCompile(`Buy for (€ ([0-9]+)\.([0-9]{2}))`)
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
	key, price := formKey.FindSubmatch(a.body), formPrice.FindSubmatch(a.body)
	if key == nil || price == nil {
		c.load.book.fail("GET /checkout", fmt.Errorf("the form has no key or no price: %s", a.excerpt()))
		return
	}
	cents, err := strconv.ParseInt(string(price[2])+string(price[3]), 10, 64)
	if err != nil {
		c.load.book.fail("GET /checkout", fmt.Errorf("price: %w", err))
		return
	}
	c.think()
	p := purchase{
		Key: string(key[1]), Name: fmt.Sprintf("Customer %d", c.number), Email: c.email(),
		pieces: int64(pieces), price: string(price[1]), cents: cents,
	}
	if c.rand.IntN(2) == 0 {
		c.buyByForm(ctx, p)
	} else {
		c.buyByProgram(ctx, p)
	}
}

// email is this customer's own: two orders with it are one too many.
func (c *customer) email() string { return fmt.Sprintf("c%d.%s@load.example", c.number, c.load.run) }

type purchase struct {
	Key   string `json:"key"`
	Name  string `json:"name"`
	Email string `json:"email"`

	pieces int64
	price  string // that the form showed
	cents  int64  // the same
}

// is is the order that the purchase shall be, under a number.
func (p purchase) is(id, sent int64) order {
	return order{id: id, name: p.Name, email: p.Email, total: p.cents, pieces: p.pieces, sent: sent}
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
	c.load.book.ordered(p.Key, p.is(id, sent))
}

// buyByProgram sends JSON, sometimes twice. The order counts once an answer
// has named it.
func (c *customer) buyByProgram(ctx context.Context, p purchase) {
	body, err := json.Marshal(p)
	if err != nil {
		c.load.book.fail("POST /checkout", err)
		return
	}
	var o order
	times := int64(1 + c.rand.IntN(5)/4)
	for sent := int64(1); sent <= times; sent++ {
		_, ok := c.post(ctx, "/checkout", "application/json", body, func(a answer) error {
			got, err := orderOf(a, p, sent)
			if err == nil && o.id != 0 && got.id != o.id {
				err = fmt.Errorf("the same key is order %d and order %d", o.id, got.id)
			}
			if err == nil {
				o = got
			}
			return err
		})
		if o.id != 0 {
			o.sent = sent
			c.load.book.ordered(p.Key, o)
		}
		if !ok {
			return
		}
	}
}

// orderOf reads the order that a purchase has become: 201 for the first time,
// then 200.
func orderOf(a answer, p purchase, sent int64) (order, error) {
	want := http.StatusOK
	if sent == 1 {
		want = http.StatusCreated
	}
	if err := a.is(want); err != nil {
		return order{}, err
	}
	var got struct {
		Order StoredOrder `json:"order"`
	}
	if err := json.Unmarshal(a.body, &got); err != nil {
		return order{}, fmt.Errorf("read order: %w: %s", err, a.excerpt())
	}
	if o := got.Order.of(sent); o.id == 0 || o != p.is(o.id, sent) {
		return order{}, fmt.Errorf("the answer to %s names %s", p.is(o.id, sent), o)
	}
	return got.Order.of(sent), nil
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
