// A one-time link has its secret behind the "#", which browsers send to nobody. It goes out
// of the address bar and the history before anything else happens, and into the form.

const secret = location.hash.slice(1);
if (secret) {
  history.replaceState(null, "", location.pathname + location.search);
  const field = document.getElementById("secret");
  field.value = secret;
  field.form.requestSubmit();
}
