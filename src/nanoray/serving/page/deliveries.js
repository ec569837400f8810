// Reports that could not be written, and deliveries: pending, delivered, and given up. Dead ones can
// be tried again.

import { element, find } from "./dom.js";
import { json, request } from "./service.js";
import { moment, t } from "./words.js";

/** The dialog of deliveries, and the count of dead ones on its button. */
export class Deliveries {
  constructor(session) {
    this.session = session;
    find("deliveries").hidden = !session.delivers;
    find("deliveries").addEventListener("click", () => this.open());
    find("deliveries-status").addEventListener("change", () => this.show());
    find("deliveries-retry").addEventListener("click", async () => {
      await this.#act("/v1/dicom/reports/retry");
      await this.#act("/v1/dicom/deliveries/retry");
    });
    find("deliveries-retry").hidden = !session.administers;
  }

  /** Count the dead deliveries. */
  async count() {
    if (!this.session.delivers) return;
    const dead = await Promise.all([
      json("/v1/dicom/deliveries?status=dead&limit=100"),
      json("/v1/dicom/reports?status=dead&limit=100"),
    ]);
    const count = dead.reduce((sum, { items }) => sum + items.length, 0);
    find("dead-count").textContent = count ? ` (${t("deliveries.dead", { count })})` : "";
    find("deliveries").classList.toggle("danger", count > 0);
  }

  /** Open the dialog. */
  open() {
    find("deliveries-dialog").showModal();
    this.show();
  }

  /** Show the deliveries of the chosen state. */
  async show() {
    const status = find("deliveries-status").value;
    const { items } = await json(`/v1/dicom/deliveries?limit=200${status ? `&status=${status}` : ""}`);
    const unwritten =
      status && status !== "dead" ? [] : (await json("/v1/dicom/reports?status=dead&limit=200")).items;
    find("deliveries-empty").hidden = items.length + unwritten.length > 0;
    find("deliveries-list").replaceChildren(
      ...unwritten.map((item) => this.#row("reports", t("deliveries.unwritten"), item.due_at, item)),
      ...items.map((item) => this.#row("deliveries", item.destination, item.delivered_at ?? item.next_at, item)),
    );
  }

  #row(kind, destination, when, item) {
    const actions = element("td", "", { class: "buttons" });
    if (this.session.administers && item.status !== "delivered") {
      for (const action of item.status === "cancelled" ? ["retry"] : ["retry", "cancel"]) {
        const button = element("button", t(`deliveries.${action}`), { type: "button", class: "quiet" });
        button.addEventListener("click", () => this.#act(`/v1/dicom/${kind}/${item.id}/${action}`));
        actions.append(button);
      }
    }
    return element(
      "tr",
      "",
      {},
      element("th", "", { scope: "row" }, element("bdi", destination)),
      element("td", item.commitment ? `${t(`delivery.${item.status}`)}, ${t(`commitment.${item.commitment}`)}` : t(`delivery.${item.status}`)),
      element("td", String(item.attempts), { class: "number" }),
      element("td", item.error_code ?? "–"),
      element("td", moment(when)),
      actions,
    );
  }

  async #act(path) {
    find("deliveries-error").textContent = "";
    try {
      await request(path, { method: "POST" });
    } catch (error) {
      find("deliveries-error").textContent = error.message;
    }
    await this.show();
    await this.count();
  }
}
