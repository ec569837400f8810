"use strict";
(() => {
  const data = JSON.parse(document.getElementById("explorer-data").textContent);
  const byId = (id) => document.getElementById(id);
  const [model, view, threshold, prevalence] =
    ["model", "view", "threshold", "prevalence"].map((name) => byId(`explorer-${name}`));
  const percent = (share) => `${(100 * share).toFixed(1)} %`;
  const ratio = (value) => (Number.isFinite(value) ? value.toFixed(2) : "-");
  const range = ([value, low, high]) => `${percent(value)} (${percent(low)} to ${percent(high)})`;

  function options(select, names) {
    select.replaceChildren(...names.map((name, index) => new Option(name, index)));
  }

  function curve() {
    return data.models[model.value].curves[view.value];
  }

  function chooseModel() {
    options(view, data.models[model.value].curves.map((one) => one.name));
    chooseView();
  }

  function chooseView() {
    const points = byId("explorer-points");
    points.replaceChildren(
      ...curve().points.map(({ name, threshold: value }) => {
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = `${name} ${value.toFixed(2)}`;
        button.addEventListener("click", () => {
          threshold.value = Math.round(100 * value);
          show();
        });
        return button;
      }),
    );
    const usual = curve().points.find(({ name }) => name === data.models[model.value].usual);
    if (usual) threshold.value = Math.round(100 * usual.threshold);
    show();
  }

  function show() {
    const { sensitivity, specificity, positive, negative } = curve();
    const index = Number(threshold.value);
    const share = Number(prevalence.value) / 100;
    const [hit] = sensitivity[index];
    const [clear] = specificity[index];
    const called = share * hit + (1 - share) * (1 - clear);
    const passed = 1 - called;
    const thousand = (part) => Math.round(1000 * part);
    const figures = {
      sensitivity: range(sensitivity[index]),
      specificity: range(specificity[index]),
      ppv: called > 0 ? percent((share * hit) / called) : "-",
      npv: passed > 0 ? percent(((1 - share) * clear) / passed) : "-",
      positive: ratio(hit / (1 - clear)),
      negative: ratio((1 - hit) / clear),
      called: `${thousand(called)}: ${thousand(share * hit)} with an opacity, ` +
        `${thousand((1 - share) * (1 - clear))} without`,
      missed: `${thousand(share * (1 - hit))}`,
    };
    for (const [name, text] of Object.entries(figures)) byId(`explorer-${name}-out`).textContent = text;
    byId("explorer-threshold-out").textContent = (index / 100).toFixed(2);
    byId("explorer-prevalence-out").textContent = percent(share);
    byId("explorer-images-out").textContent =
      `${positive} radiographs with and ${negative} without an opacity`;
  }

  options(model, data.models.map((one) => one.name));
  model.value = data.models.length - 1;
  prevalence.value = data.prevalence;
  model.addEventListener("change", chooseModel);
  view.addEventListener("change", chooseView);
  threshold.addEventListener("input", show);
  prevalence.addEventListener("input", show);
  chooseModel();
  byId("explorer-panel").hidden = false;
})();
