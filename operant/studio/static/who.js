// Who is at the page: a name, asked for once and kept by the browser.

import { post } from "./talk.js";

const $ = (id) => document.getElementById(id);

export class Who {
  // before(): what must be sent under the old name · told(name, changed)
  constructor({ before = async () => {}, told }) {
    Object.assign(this, { before, told });
    $("rename").addEventListener("click", () => {
      $("who-name").value = this.name;
      this.ask();
    });
    $("who").addEventListener("cancel", (event) => {
      if (!this.name) event.preventDefault(); // without a name nothing can be stored
    });
    $("who").querySelector("form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.tell();
    });
  }

  get name() {
    return $("name").textContent;
  }

  ask() {
    if (!$("who").open) $("who").showModal();
  }

  async tell() {
    try {
      await this.before();
      const old = this.name;
      const { name } = await post("name", { name: $("who-name").value.trim() });
      $("name").textContent = name;
      $("who-wrong").textContent = "";
      $("who").close();
      this.told(name, Boolean(old) && old !== name);
    } catch (error) {
      $("who-wrong").textContent = error.reason === "request" ? "Begin with a letter or a digit; at most 60 characters." : error.message;
    }
  }
}
