// Rule 1: every sound is made here, from two sines: DTMF as ITU-T Q.23 has it, and the tones of a
//         line; nothing is loaded.
// Rule 2: silent until the user has interacted with the page (browsers require it), and when muted.

const ROWS = [697, 770, 852, 941]; // Hz
const COLUMNS = [1209, 1336, 1477];
const KEYS = ["123", "456", "789", "*0#"];
const PRESS = 0.14; // seconds

let context = null;
let muted = recall() === "yes";

/** Whether sounds are muted. */
export const isMuted = () => muted;

export function mute(on) {
  muted = on;
  try {
    localStorage.setItem("muted", on ? "yes" : "no");
  } catch {
    // without storage the setting is lost
  }
}

function recall() {
  try {
    return localStorage.getItem("muted");
  } catch {
    return null;
  }
}

/** The two frequencies of a key. */
export function pair(key) {
  const row = KEYS.findIndex((keys) => keys.includes(key));
  return [ROWS[row], COLUMNS[KEYS[row].indexOf(key)]];
}

/** Sounds a key of the keypad. */
export const keyTone = (key) => tone(pair(key), PRESS);

/** The call is answered: one short ring. */
export const ringTone = () => tone([425, 440], 0.35);

/** The call has ended: three short beeps. */
export function endTone() {
  for (const beat of [0, 0.3, 0.6]) tone([425], 0.16, beat);
}

function tone(frequencies, seconds, after = 0) {
  if (muted || !navigator.userActivation?.hasBeenActive) return;
  context ??= new AudioContext();
  if (context.state === "suspended") context.resume();
  const begin = context.currentTime + after;
  const volume = context.createGain();
  volume.gain.setValueAtTime(0, begin);
  volume.gain.linearRampToValueAtTime(0.08, begin + 0.008);
  volume.gain.setValueAtTime(0.08, begin + seconds - 0.012);
  volume.gain.linearRampToValueAtTime(0, begin + seconds);
  volume.connect(context.destination);
  for (const frequency of frequencies) {
    const sine = new OscillatorNode(context, { frequency });
    sine.connect(volume);
    sine.start(begin);
    sine.stop(begin + seconds);
  }
}
