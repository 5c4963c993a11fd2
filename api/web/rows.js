// A table whose rows stay where they are: only what changed is written, so that nothing jumps and the focus stays.

import { make } from "./format.js";

/** Write a text and a class where they differ from what stands there. */
export function put(element, text, className) {
  if (element.textContent !== text) element.textContent = text;
  if (className !== undefined && element.className !== className) element.className = className;
}

export class Rows {
  #body;
  #columns;
  #key;
  #rows = new Map();

  /** columns: [class, title of the column, what makes of an item the cell's content: (cell, item) => void]. */
  constructor(body, columns, key) {
    this.#body = body;
    this.#columns = columns;
    this.#key = key;
    const head = body.parentElement.tHead;
    if (!head.rows.length) {
      const row = make("tr");
      row.append(...columns.map(([className, title]) => Object.assign(make("th", className, title), { scope: "col" })));
      head.append(row);
    }
  }

  /** Show these items in this order; `dress` sees each row with its item. */
  show(items, dress) {
    const keys = new Set(items.map(this.#key));
    const focused = this.#focused();
    for (const [key, row] of this.#rows) {
      if (keys.has(key)) continue;
      row.element.remove();
      this.#rows.delete(key);
    }
    let place = this.#body.firstElementChild;
    for (const item of items) {
      const row = this.#row(item);
      dress?.(row.element, item);
      if (row.element === place) place = place.nextElementSibling;
      else this.#body.insertBefore(row.element, place);
      row.cells.forEach((cell, i) => this.#columns[i][2](cell, item));
    }
    if (focused >= 0 && !this.#body.contains(document.activeElement)) this.#focus(focused);
  }

  /** Give which row has the focus, -1 where it is elsewhere. */
  #focused() {
    return [...this.#body.children].findIndex((row) => row.contains(document.activeElement));
  }

  /** The row that had the focus is gone: the keyboard goes on at the one in its place, and not from the page's top. */
  #focus(place) {
    const row = this.#body.children[Math.min(place, this.#body.children.length - 1)];
    const next = row?.querySelector("button:not([hidden])") ?? (row?.tabIndex === 0 ? row : this.#body.closest("[tabindex]"));
    next?.focus({ preventScroll: true });
  }

  /** Write the rows of these keys anew. */
  rewrite(keys) {
    for (const key of keys) {
      const row = this.#rows.get(key);
      row?.cells.forEach((cell, i) => this.#columns[i][2](cell, row.item));
    }
  }

  /** Give the item of the row that an event happened in. */
  at(target) {
    return this.#rows.get(target.closest("tr")?.dataset.key)?.item;
  }

  element(key) {
    return this.#rows.get(key)?.element;
  }

  #row(item) {
    const key = this.#key(item);
    let row = this.#rows.get(key);
    if (!row) {
      const element = make("tr");
      element.dataset.key = key;
      const cells = this.#columns.map(([className]) => element.appendChild(make("td", className)));
      row = { element, cells };
      this.#rows.set(key, row);
    }
    row.item = item;
    return row;
  }
}

/** Give the two lines of a cell, made at the first time. */
export function lines(cell) {
  if (!cell.firstElementChild) cell.append(make("b"), make("small"));
  return cell.children;
}
