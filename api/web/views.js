// Which part of the page is seen: `#accounts/TR0001` is the view `accounts` with TR0001 chosen in it.

const $ = (id) => document.getElementById(id);

/** Events: "shown" (detail: the view's name, and what is chosen in it). */
export class Views extends EventTarget {
  #names = [...$("views").children].map((link) => link.hash.slice(1));
  now = "";
  chosen = "";

  constructor() {
    super();
    addEventListener("hashchange", () => this.read());
    document.addEventListener("keydown", (event) => {
      if (event.key !== "/" || !this.now || event.target.matches("input, textarea, select")) return;
      const search = $(`view-${this.now}`).querySelector("input[type=search]");
      if (!search) return;
      event.preventDefault();
      search.focus();
    });
  }

  /** Show what the address says. */
  read() {
    const [name, ...rest] = location.hash.slice(1).split("/").map(decodeURIComponent);
    const before = this.now;
    this.now = this.#names.includes(name) ? name : this.#names[0];
    for (const link of $("views").children) {
      const isNow = link.hash.slice(1) === this.now;
      link.ariaCurrent = isNow ? "page" : null;
      $(`view-${link.hash.slice(1)}`).hidden = !isNow;
    }
    if (before && before !== this.now) scrollTo(0, 0);
    this.chosen = rest.join("/");
    this.dispatchEvent(new CustomEvent("shown", { detail: { name: this.now, chosen: this.chosen } }));
  }

  /** Go to a view, with something chosen in it; `quietly` leaves no step in the browser's history. */
  go(name, chosen = "", { quietly = false } = {}) {
    const hash = `#${name}${chosen ? `/${encodeURIComponent(chosen)}` : ""}`;
    if (location.hash === hash) return;
    if (quietly) {
      history.replaceState(null, "", hash);
      this.read();
    } else location.hash = hash;
  }
}
