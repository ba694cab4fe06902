// The wizard: fills in what the background job finds out while the page is open.

const notice = document.querySelector("[data-poll]");
const touched = new Set();
document.addEventListener("input", (event) => touched.add(event.target.name));

function fill(company) {
  for (const key of ["number", "country", "currency"]) {
    const cell = document.querySelector(`[data-cell="${key}-${company.id}"]`);
    if (cell && company[key]) cell.textContent = company[key];
  }
  const field = document.querySelector(`[data-guess="${company.id}"]`);
  if (field && !field.value && !touched.has(field.name) && company.guess) field.value = company.guess;
}

async function poll(turns) {
  const answer = await fetch(notice.dataset.poll, { headers: { Accept: "application/json" } });
  if (!answer.ok) return;
  const found = await answer.json();
  found.companies.forEach(fill);
  notice.querySelector("[data-poll-left]").textContent = found.left;
  if (found.left === 0 || turns === 0) notice.hidden = true;
  else setTimeout(() => poll(turns - 1), 1000);
}

if (notice && !notice.hidden) poll(90);
