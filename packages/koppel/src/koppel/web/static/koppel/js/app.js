// Behaviour of all pages. Each module binds to attributes of the markup; pages work without them.
import "./table-scroll.js";
import "./checkboxes.js";
import "./forms.js";
import "./row-filter.js";
import "./menus.js";
import "./dialogs.js";
import "./toasts.js";
import "./live.js";
import "./combobox.js";
import "./period-picker.js";
import "./charts.js";
import "./columns.js";
import "./sortable.js";
import "./preferences.js";
import "./peek.js";
import "./palette.js";
import "./shortcuts.js";
