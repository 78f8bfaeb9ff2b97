"use strict";
(() => {
  // Cells carry their place in the order of their column: JavaScript's numbers cannot compare amounts of any length.
  function sort(table, column, isDescending) {
    const body = table.tBodies[0];
    const place = (row) => Number(row.cells[column].dataset.order);
    const rows = Array.from(body.rows).sort((one, other) => place(one) - place(other));
    if (isDescending) rows.reverse();
    body.append(...rows);
    for (const [at, heading] of Array.from(table.tHead.rows[0].cells).entries()) {
      if (at === column) heading.setAttribute("aria-sort", isDescending ? "descending" : "ascending");
      else heading.removeAttribute("aria-sort");
    }
  }

  function makeSortable(table) {
    for (const [column, heading] of Array.from(table.tHead.rows[0].cells).entries()) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => {
        const now = heading.getAttribute("aria-sort");
        const isNumber = heading.classList.contains("number");
        sort(table, column, now === null ? isNumber : now === "ascending");
      });
    }
  }

  function showTips(tip) {
    document.addEventListener("pointermove", (event) => {
      const mark = event.target.closest("figure svg [aria-label]");
      tip.hidden = mark === null;
      if (mark === null) return;
      tip.textContent = mark.getAttribute("aria-label");
      const isLeft = event.clientX < window.innerWidth / 2;
      tip.style.left = isLeft ? `${event.clientX + 14}px` : "auto";
      tip.style.right = isLeft ? "auto" : `${window.innerWidth - event.clientX + 14}px`;
      tip.style.top = `${event.clientY + 14}px`;
    });
    document.addEventListener("scroll", () => { tip.hidden = true; });
  }

  document.querySelectorAll("table.sortable").forEach(makeSortable);
  showTips(document.getElementById("tip"));
})();
