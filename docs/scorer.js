// Search: pages (notebooks, guides) before functions, classes and the pages that list them.
var Scorer = {
  objNameMatch: 4, objPartialMatch: 2,
  objPrio: { 0: 2, 1: 1, 2: -5 }, objPrioDefault: 0,
  title: 15, partialTitle: 9, term: 5, partialTerm: 2,
  score: ([page, , , , points]) => points - (page.startsWith("api") ? 12 : 0),
};
