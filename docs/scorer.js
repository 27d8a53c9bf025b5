// Search: pages (notebooks, guides) before functions and classes.
var Scorer = {
  objNameMatch: 4, objPartialMatch: 2,
  objPrio: { 0: 2, 1: 1, 2: -5 }, objPrioDefault: 0,
  title: 15, partialTitle: 9, term: 5, partialTerm: 2,
};
