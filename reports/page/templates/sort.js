for (const table of document.querySelectorAll("table.sortable")) {
  table.querySelectorAll("thead th").forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const body = table.tBodies[0];
      const key = (row) => row.cells[column].textContent.trim();
      const keyed = Array.from(body.rows, (row) => [key(row), Number(key(row).replaceAll(",", "")), row]);
      keyed.sort(([a, x], [b, y]) => {
        if (a === "\u2013" || b === "\u2013") return (a === "\u2013") - (b === "\u2013"); // nothing comes last
        const order = Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x - y;
        return up ? order : -order;
      });
      body.append(...keyed.map(([, , row]) => row));
    });
  });
}
