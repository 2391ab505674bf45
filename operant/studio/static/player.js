// Two clips on one clock: in step, looping, slowly, frame by frame.

import { get, Refusal } from "./talk.js";

const REST = 0.5; // seconds of stillness at the end of a round
const SLOW = 0.25;
const TRIES = 120; // a clip may still be in the making

const wait = (ms) => new Promise((done) => setTimeout(done, ms));

async function load(side) {
  if (side.kind === "sheet") return sheet(side.src);
  if (side.kind === "video") return video(side.src);
  return null;
}

// Frames in one image, row by row.
async function sheet(src) {
  for (let n = 0; n < TRIES; n++) {
    try {
      const response = await get(src);
      const [frames, columns, rate] = ["frames", "columns", "rate"].map((x) => Number(response.headers.get(`clip-${x}`)));
      const image = await createImageBitmap(await response.blob());
      const width = image.width / columns;
      const height = image.height / Math.ceil(frames / columns);
      return {
        width, height, rate, seconds: frames / rate,
        draw(pen, t) {
          const k = Math.min(frames - 1, Math.floor(t * rate + 1e-6));
          const [x, y] = [(k % columns) * width, Math.floor(k / columns) * height];
          pen.drawImage(image, x, y, width, height, 0, 0, width, height);
          return k;
        },
        close: () => image.close(),
      };
    } catch (error) {
      if (error instanceof Refusal && error.reason !== "clip") throw error;
      await wait(700);
    }
  }
  return null;
}

function video(src) {
  return new Promise((done) => {
    const film = document.createElement("video");
    Object.assign(film, { muted: true, playsInline: true, preload: "auto" });
    let tries = 0;
    film.addEventListener("error", async () => {
      if (++tries === TRIES) return done(null);
      await wait(700);
      film.src = src; // it may still be in the making
    });
    film.addEventListener("loadeddata", () => done({
      width: film.videoWidth, height: film.videoHeight, rate: 25, seconds: film.duration,
      draw(pen, t, speed, moving) {
        const runs = moving && t < film.duration;
        if (Math.abs(film.currentTime - t) > (runs ? 0.15 : 0.01) && !film.seeking) film.currentTime = Math.min(t, film.duration);
        film.playbackRate = speed;
        if (runs && film.paused) film.play().catch(() => {});
        if (!runs && !film.paused) film.pause();
        pen.drawImage(film, 0, 0);
        return Math.floor(film.currentTime * 25);
      },
      close() {
        film.pause();
        film.removeAttribute("src");
        film.load();
      },
    }), { once: true });
    film.src = src;
  });
}

// Both clips of a question, in memory before it is shown.
export async function prepare(question) {
  const [left, right] = await Promise.all([load(question.left), load(question.right)]);
  return { left, right };
}

export class Player {
  // figures: {left, right}; moved(part in [0, 1]) and changed({playing, slow}) tell the controls
  constructor(figures, { moved, changed }) {
    Object.assign(this, { figures, moved, changed });
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    this.clips = null;
    [this.t, this.playing, this.slow] = [0, !this.calm.matches, false];
    const turn = (now) => {
      this.turn(now);
      requestAnimationFrame(turn);
    };
    requestAnimationFrame(turn);
  }

  show(clips) {
    for (const side of ["left", "right"]) this.clips?.[side]?.close();
    this.clips = clips;
    this.seconds = Math.max(...Object.values(clips || {}).map((clip) => clip?.seconds ?? 0), 0.1);
    for (const [side, clip] of Object.entries(clips || {})) {
      const canvas = this.figures[side].querySelector("canvas");
      [canvas.width, canvas.height] = clip ? [clip.width, clip.height] : [240, 240];
    }
    this.t = 0;
    this.set(!this.calm.matches);
    this.paint();
  }

  replay() {
    this.t = 0;
    this.set(true);
  }

  seek(part) {
    this.t = part * this.seconds;
    this.set(false);
    this.paint();
  }

  set(playing, slow = this.slow) {
    [this.playing, this.slow] = [playing, slow];
    this.changed({ playing, slow });
  }

  turn(now) {
    const passed = Math.min(0.1, (now - (this.before ?? now)) / 1000);
    this.before = now;
    if (!this.clips || !this.playing) return;
    this.t += passed * (this.slow ? SLOW : 1);
    if (this.t > this.seconds + REST) {
      if (this.calm.matches) {
        this.t = this.seconds; // who asks for less motion sees one round at a time
        this.set(false);
      } else this.t = 0;
    }
    this.paint();
  }

  paint() {
    for (const [side, clip] of Object.entries(this.clips || {})) {
      const figure = this.figures[side];
      const pen = figure.querySelector("canvas").getContext("2d");
      if (clip) figure.dataset.frame = clip.draw(pen, this.t, this.slow ? SLOW : 1, this.playing);
      else {
        pen.clearRect(0, 0, 240, 240);
        pen.fillStyle = "#555";
        pen.textAlign = "center";
        pen.fillText("There is no clip of this side.", 120, 120);
      }
    }
    this.moved(Math.min(1, this.t / this.seconds));
  }
}
