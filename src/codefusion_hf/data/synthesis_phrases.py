"""Phrase banks of the conditional-formatting pair generator: comparators, sentence frames, colours, chatter, typos.

In comparators `{n}`, `{a}`, `{b}`, `{d}`, `{x}` are literals; in frames `{o}` is what to format ("orders over $50"), `{x}` a
clause ("price is over 50"), `{V}` a verb, `{C}` a colour, `{F}` a format suffix and `{R}` the rows' name.
"""

from __future__ import annotations


# rule -> (adjectival phrases, (singular, plural) verb phrases, symbols for clauses, phrases that fit after a verb: "cost ...")
NUMBER_PHRASES = {
    "GreaterThan": (
        ["above {n}", "over {n}", "more than {n}", "greater than {n}", "higher than {n}", "larger than {n}", "bigger than {n}",
         "in excess of {n}", "beyond {n}", "north of {n}", "past {n}", "strictly above {n}", "well over {n}"],
        [("exceeds {n}", "exceed {n}"), ("goes over {n}", "go over {n}"), ("surpasses {n}", "surpass {n}"), ("tops {n}", "top {n}"),
         ("goes above {n}", "go above {n}"), ("passes {n}", "pass {n}"), ("crosses {n}", "cross {n}"), ("climbs above {n}", "climb above {n}")],
        ["> {n}", ">{n}", "gt {n}"],
        ["more than {n}", "over {n}", "more than {n}", "above {n}"],
    ),
    "LessThan": (
        ["below {n}", "under {n}", "less than {n}", "lower than {n}", "smaller than {n}", "beneath {n}", "short of {n}", "strictly below {n}",
         "fewer than {n}", "south of {n}"],
        [("falls below {n}", "fall below {n}"), ("drops below {n}", "drop below {n}"), ("drops under {n}", "drop under {n}"),
         ("does not reach {n}", "do not reach {n}"), ("falls short of {n}", "fall short of {n}"), ("dips below {n}", "dip below {n}"),
         ("doesn't reach {n}", "don't reach {n}"), ("stays under {n}", "stay under {n}")],
        ["< {n}", "<{n}", "lt {n}"],
        ["less than {n}", "under {n}", "below {n}", "less than {n}"],
    ),
    "GreaterThanEqual": (
        ["at least {n}", "{n} or more", "{n} or above", "{n} or higher", "{n} and above", "{n} and up", "greater than or equal to {n}",
         "no less than {n}", "not less than {n}", "not below {n}", "equal to or greater than {n}", "{n} or over", "more than or equal to {n}",
         "equal or above {n}", "from {n} up", "{n} at minimum", "not under {n}", "a minimum of {n}"],
        [("is not lower than {n}", "are not lower than {n}"), ("reaches at least {n}", "reach at least {n}"),
         ("isn't less than {n}", "aren't less than {n}")],
        [">= {n}", "≥ {n}", ">={n}", "=> {n}"],
        ["at least {n}", "{n} or more", "no less than {n}", "a minimum of {n}", "not less than {n}"],
    ),
    "LessThanEqual": (
        ["at most {n}", "{n} or less", "{n} or below", "{n} or lower", "up to {n}", "no more than {n}", "not more than {n}", "not above {n}",
         "less than or equal to {n}", "{n} and under", "{n} or under", "equal to or less than {n}", "{n} and below", "not over {n}",
         "no higher than {n}", "{n} tops", "{n} at the most", "a maximum of {n}"],
        [("does not exceed {n}", "do not exceed {n}"), ("doesn't exceed {n}", "don't exceed {n}"), ("isn't over {n}", "aren't over {n}"),
         ("does not go above {n}", "do not go above {n}")],
        ["<= {n}", "≤ {n}", "<={n}"],
        ["at most {n}", "{n} or less", "no more than {n}", "up to {n}", "not more than {n}", "a maximum of {n}"],
    ),
    "Equals": (
        ["equal to {n}", "exactly {n}", "precisely {n}", "{n}", "equal {n}", "just {n}"],
        [("equals {n}", "equal {n}"), ("is {n}", "are {n}"), ("is exactly {n}", "are exactly {n}")],
        ["= {n}", "== {n}", "={n}"],
        ["exactly {n}", "{n}", "precisely {n}"],
    ),
    "NotEquals": (
        ["not equal to {n}", "other than {n}", "different from {n}", "anything but {n}", "not {n}", "unequal to {n}"],
        [("does not equal {n}", "do not equal {n}"), ("differs from {n}", "differ from {n}"), ("isn't {n}", "aren't {n}"),
         ("is anything except {n}", "are anything except {n}")],
        ["<> {n}", "!= {n}", "≠ {n}"],
        [],
    ),
    "Between": (
        ["between {a} and {b}", "between {a} to {b}", "from {a} to {b}", "in the range {a} to {b}", "within {a} and {b}",
         "in the {a} to {b} range", "ranging from {a} to {b}", "anywhere from {a} to {b}", "between {a} & {b}", "within {a}-{b}",
         "no lower than {a} and no higher than {b}", "between {a} and {b} inclusive", "inside {a} to {b}"],
        [("lies between {a} and {b}", "lie between {a} and {b}"), ("falls between {a} and {b}", "fall between {a} and {b}"),
         ("ranges from {a} to {b}", "range from {a} to {b}"), ("sits between {a} and {b}", "sit between {a} and {b}"),
         ("falls within {a} to {b}", "fall within {a} to {b}")],
        ["between {a} and {b}", "{a} to {b}", "from {a} to {b}"],
        ["between {a} and {b}", "between {a} and {b}", "from {a} to {b}", "anywhere between {a} and {b}"],
    ),
    "NotBetween": (
        ["not between {a} and {b}", "outside {a} to {b}", "outside the range {a} to {b}", "out of the {a} to {b} range", "outside {a}-{b}",
         "outside of {a} and {b}", "not in the range {a} to {b}", "not within {a} and {b}"],
        [("falls outside {a} to {b}", "fall outside {a} to {b}"), ("isn't between {a} and {b}", "aren't between {a} and {b}"),
         ("lies outside {a} and {b}", "lie outside {a} and {b}")],
        ["not between {a} and {b}"],
        [],
    ),
}
NUMBER_WEIGHTS = {"GreaterThan": 30, "LessThan": 26, "GreaterThanEqual": 14, "LessThanEqual": 11, "Equals": 9, "NotEquals": 4,
                  "Between": 15, "NotBetween": 4}

DATE_PHRASES = {
    "GreaterThan": (["after {n}", "later than {n}", "past {n}", "following {n}", "after the {n}"], ["> {n}"]),
    "LessThan": (["before {n}", "earlier than {n}", "prior to {n}", "ahead of {n}"], ["< {n}"]),
    "GreaterThanEqual": (["on or after {n}", "since {n}", "from {n} onwards", "no earlier than {n}", "from {n} on", "not before {n}"], [">= {n}"]),
    "LessThanEqual": (["on or before {n}", "by {n}", "until {n}", "no later than {n}", "up to {n}", "not after {n}"], ["<= {n}"]),
    "Equals": (["on {n}", "exactly on {n}"], ["= {n}"]),
    "Between": (["between {a} and {b}", "from {a} to {b}", "between {a} to {b}", "in the period {a} to {b}", "from {a} until {b}"], ["between {a} and {b}"]),
}
DATE_WEIGHTS = {"GreaterThan": 28, "LessThan": 28, "GreaterThanEqual": 10, "LessThanEqual": 10, "Equals": 6, "Between": 12}

PERIOD_PHRASES = {
    "Yesterday": ["yesterday", "the day before today", "yesterday's date"],
    "Today": ["today", "today's date"],
    "Tomorrow": ["tomorrow", "tomorrow's date"],
    "Last7Days": ["in the last 7 days", "in the last seven days", "within the last 7 days", "in the past 7 days", "during the past seven days", "within the past 7 days",
                  "over the last 7 days"],
    "LastWeek": ["last week", "in the previous week", "the week before this one"],
    "ThisWeek": ["this week", "in the current week", "sometime this week", "within this week"],
    "NextWeek": ["next week", "in the coming week", "in the following week"],
    "LastMonth": ["last month", "in the previous month", "the month before"],
    "ThisMonth": ["this month", "in the current month", "within this month", "sometime this month"],
    "NextMonth": ["next month", "in the coming month", "in the following month"],
}
FUTURE = frozenset({"Tomorrow", "NextWeek", "NextMonth"})

# (singular verb phrase, plural verb phrase, post-modifier)
TEXT_PHRASES = {
    "TextEquals": [("is {x}", "are {x}", "equal to {x}"), ("equals {x}", "equal {x}", "equal to {x}"), ("is {x}", "are {x}", "that are {x}"),
                   ("= {x}", "= {x}", "= {x}"), ("says {x}", "say {x}", "that say {x}"), ("is exactly {x}", "are exactly {x}", "that are exactly {x}"),
                   ("is set to {x}", "are set to {x}", "set to {x}"), ("reads {x}", "read {x}", "reading {x}"), ("is marked {x}", "are marked {x}", "marked {x}"),
                   ("is listed as {x}", "are listed as {x}", "listed as {x}"), ("is equal to {x}", "are equal to {x}", "equal to {x}"),
                   ("matches {x}", "match {x}", "matching {x}"), ("is {x}", "are {x}", "with the value {x}"), ("shows {x}", "show {x}", "showing {x}"),
                   ("is the same as {x}", "are the same as {x}", "identical to {x}"), ("is marked as {x}", "are marked as {x}", "marked as {x}")],
    "TextContains": [("contains {x}", "contain {x}", "containing {x}"), ("includes {x}", "include {x}", "including {x}"),
                     ("has {x} in it", "have {x} in them", "with {x} in them"), ("contains the word {x}", "contain the word {x}", "containing the word {x}"),
                     ("mentions {x}", "mention {x}", "mentioning {x}"), ("has {x} somewhere", "have {x} somewhere", "that have {x} somewhere"),
                     ("contains the text {x}", "contain the text {x}", "with text containing {x}"), ("includes the text {x}", "include the text {x}", "that include the text {x}"),
                     ("has the word {x}", "have the word {x}", "with the word {x} in them"), ("contains {x}", "contain {x}", "that contain {x}"),
                     ("has {x} anywhere in it", "have {x} anywhere", "with {x} anywhere in the text")],
    "TextNotContains": [("does not contain {x}", "do not contain {x}", "not containing {x}"), ("doesn't contain {x}", "don't contain {x}", "that don't contain {x}"),
                        ("does not include {x}", "do not include {x}", "without {x} in them"), ("doesn't mention {x}", "don't mention {x}", "that do not mention {x}"),
                        ("lacks the word {x}", "lack the word {x}", "lacking the word {x}"), ("does not have {x} in it", "do not have {x} in them", "that don't include {x}")],
    "TextStartsWith": [("starts with {x}", "start with {x}", "starting with {x}"), ("begins with {x}", "begin with {x}", "beginning with {x}"),
                       ("has the prefix {x}", "have the prefix {x}", "prefixed with {x}"), ("starts with {x}", "start with {x}", "that start with {x}"),
                       ("begins in {x}", "begin in {x}", "that begin with {x}"), ("starts with the letters {x}", "start with the letters {x}", "starting with the letters {x}"),
                       ("opens with {x}", "open with {x}", "opening with {x}")],
    "TextEndsWith": [("ends with {x}", "end with {x}", "ending with {x}"), ("ends in {x}", "end in {x}", "ending in {x}"),
                     ("finishes with {x}", "finish with {x}", "finishing with {x}"), ("has the suffix {x}", "have the suffix {x}", "that end with {x}"),
                     ("ends with {x}", "end with {x}", "that end in {x}")],
    "NotText": [("is not {x}", "are not {x}", "that are not {x}"), ("isn't {x}", "aren't {x}", "other than {x}"), ("is anything but {x}", "are anything but {x}", "except {x}"),
                ("does not equal {x}", "do not equal {x}", "not equal to {x}"), ("<> {x}", "<> {x}", "<> {x}"), ("is different from {x}", "are different from {x}", "different from {x}"),
                ("is other than {x}", "are other than {x}", "other than {x}"), ("is not equal to {x}", "are not equal to {x}", "not equal to {x}"), ("!= {x}", "!= {x}", "!= {x}")],
}  # fmt: skip
TEXT_WEIGHTS = {"TextEquals": 46, "TextContains": 24, "TextNotContains": 6, "TextStartsWith": 8, "TextEndsWith": 6, "NotText": 10}

AVERAGE_PHRASES = {
    "AboveAverage": ["above average", "above the average", "above the mean", "higher than average", "over the average", "higher than the mean", "greater than the average",
                     "more than average", "over the mean", "larger than the average", "above-average"],
    "BelowAverage": ["below average", "below the average", "below the mean", "lower than average", "under the average", "lower than the mean", "less than the average",
                     "smaller than the average", "under the mean", "less than average"],
}  # fmt: skip

BLANK_CLAUSES = ["{m} is blank", "{m} is empty", "{m} is missing", "{m} is not filled in", "{m} was left blank", "there is no {m}", "{m} has no value", "{m} has not been filled in",
                 "{m} hasn't been entered", "{m} is null", "no {m} is given", "no {m} was entered", "{m} has nothing in it", "{m} isn't filled out"]
BLANK_POSTS = ["with no {m}", "without {a}", "with missing {m}", "that have no {m}", "with {m} missing", "where the {m} is blank", "with an empty {m}", "with a blank {m}", "missing {a}",
               "lacking {a}", "that lack {a}", "whose {m} is missing", "with {m} left blank", "that don't have {a}", "for which no {m} was entered", "with nothing in {c}"]
BLANK_OBJECTS = ["blank cells in {c}", "empty cells in {c}", "blanks in {c}", "missing {p}", "missing values in {c}", "cells in {c} that are empty", "empty {m} cells", "gaps in {c}", "cells with no value in {c}",
                 "blank entries in {c}", "the empty {p}", "unfilled cells in {c}"]
FILLED_CLAUSES = ["{m} is not blank", "{m} is filled in", "{m} is not empty", "{m} has a value", "there is {a}", "{m} isn't blank", "{m} has been entered", "{m} is present", "{m} is non-empty"]
FILLED_POSTS = ["that have {a}", "with {a} filled in", "whose {m} is not empty", "with a non-blank {m}", "where {m} is filled in", "that already have {a}", "with any {m} entered"]
FILLED_OBJECTS = ["non-blank cells in {c}", "non blank cells in {c}", "cells in {c} that are not empty", "filled cells in {c}", "non-empty {p}", "cells that have a value in {c}", "cells in {c} that aren't blank"]
ERROR_CLAUSES = ["{m} is an error", "{m} has an error", "{m} shows #N/A", "{m} returns an error", "{m} contains an error", "there is an error in {m}", "{m} gives #REF!", "{m} shows #DIV/0!", "the formula in {m} fails"]
ERROR_POSTS = ["with an error in {c}", "where {c} has an error", "with formula errors in {c}", "with #N/A in {c}", "that have errors in {c}", "with a #REF! in {c}"]
ERROR_OBJECTS = ["errors in {c}", "error cells in {c}", "cells with errors in {c}", "#N/A errors in {c}", "formula errors in {c}", "error values in {c}", "cells in {c} that return an error", "broken formulas in {c}",
                 "cells showing #N/A or #REF! in {c}", "#DIV/0! errors in {c}", "cells in {c} with an error"]
NOERROR_OBJECTS = ["cells in {c} without errors", "cells without an error in {c}", "error-free cells in {c}", "cells in {c} that are not errors", "values in {c} that have no error"]
DUPLICATE_CLAUSES = ["{m} is duplicated", "{m} is repeated", "{m} appears more than once", "{m} occurs more than once", "{m} is a duplicate", "{m} is not unique", "{m} shows up more than once", "{m} repeats",
                     "the same {m} appears again", "{m} is listed twice or more", "{m} has a duplicate"]
DUPLICATE_POSTS = ["with a duplicate {m}", "with the same {m}", "sharing the same {m}", "whose {m} appears more than once", "with repeated {p}", "that share {a}", "with duplicated {p}", "having the same {m}",
                   "with {a} that occurs more than once", "with identical {p}"]
DUPLICATE_OBJECTS = ["duplicate {p}", "duplicates in {c}", "repeated {p}", "duplicate values in {c}", "{p} that appear more than once", "repeated values in {c}", "double entries in {c}", "{p} that occur more than once",
                     "{p} listed more than once", "values that repeat in {c}", "duplicated {p}", "{p} that show up more than once", "recurring values in {c}", "non-unique {p}"]
UNIQUE_CLAUSES = ["{m} is unique", "{m} appears only once", "{m} occurs just once", "{m} is not repeated", "{m} shows up a single time", "{m} has no duplicate"]
UNIQUE_POSTS = ["with a unique {m}", "whose {m} appears only once", "whose {m} is unique", "with {a} that occurs only once"]
UNIQUE_OBJECTS = ["unique {p}", "unique values in {c}", "{p} that appear only once", "values that occur once in {c}", "{p} that are not repeated", "one-off {p}", "{p} that show up just once", "values in {c} without a duplicate",
                  "distinct values that occur only once in {c}", "non-duplicate values in {c}", "{p} appearing exactly once"]

VISUALS = {
    "ColorScale": ["color scale", "colour scale", "heat map", "heatmap", "color gradient", "3-color scale", "green-yellow-red color scale", "gradient from red to green", "two-color scale", "red-white-blue color scale",
                   "colour gradient", "graded colors", "green to red scale", "white-to-blue scale", "color ramp", "shading from low to high"],
    "DataBar": ["data bars", "data bar", "in-cell bars", "blue data bars", "bars", "bar in each cell", "gradient fill data bars", "green data bars", "solid fill data bars", "horizontal bars", "in-cell bar chart", "databars",
                "mini bars"],
    "IconSet": ["icon set", "icons", "traffic lights", "traffic light icons", "arrows", "3 arrows icon set", "up and down arrows", "directional icons", "icon sets", "flags icon set", "star icons", "5 arrows", "rating icons",
                "colored arrows", "red, yellow and green circles", "indicator icons", "check and cross icons"],
}  # fmt: skip
VISUAL_FRAMES = ["apply {v} to {c}", "add {v} to {c}", "add {v} for {c}", "put {v} on {c}", "use {v} for {c}", "insert {v} in {c}", "show {c} with {v}", "format {c} with {v}", "give {c} {v}", "{v} on {c}", "{v} for {c}",
                 "{c} with {v}", "set {v} on {c}", "I want {v} on {c}", "can you add {v} to {c}?", "display {v} in {c}", "please put {v} in {c}", "visualize {c} using {v}", "{c}: {v}", "I'd like to see {v} for {c}",
                 "change {c} to {v}", "create {v} for {c}", "turn {c} into {v}", "could {c} get {v}?", "let's have {v} in {c}", "apply conditional formatting of {v} to {c}", "draw {v} in {c}", "switch on {v} for {c}",
                 "conditional formatting with {v} for {c}", "represent {c} with {v}", "decorate {c} with {v}"]
VISUAL_SENTENCES = {
    "ColorScale": ["shade {c} from low to high", "color {c} from lowest to highest", "make low {p} green and high {p} red, fading in between", "color {c} by value from white to dark blue", "fade {c} from red to green by value",
                   "the higher the {m}, the darker the cell", "color code {c} from min to max", "use a darker color for larger values in {c}", "go from light to dark as {m} grows", "heatmap {c}", "gradient for {c}"],
    "DataBar": ["show a bar in each cell of {c}", "show {c} as bars", "draw a bar in every {m} cell", "visualize {c} with a bar proportional to the value", "longer bars for larger {p}", "bars inside the cells of {c} please"],
    "IconSet": ["show up/down arrows next to {c}", "put a green, yellow or red light beside each {m}", "put icons next to {c} depending on the value", "mark {c} with arrows according to the value", "add little arrows to {c}",
                "traffic lights next to each {m}"],
}  # fmt: skip

VERBS = ("highlight,highlight,highlight,highlight,color,colour,mark,flag,shade,format,paint,style,fill,emphasize,show,point out,find,tint,bold,pick out,select,identify,bring out,call out,accentuate,"
         "apply formatting to,apply conditional formatting to,add conditional formatting to,conditionally format,apply a format to,accent,spot,apply a fill to,locate,underline").split(",")  # fmt: skip
COLORS = ("red,green,yellow,orange,blue,light red,light green,light yellow,pink,purple,grey,gray,dark green,dark red,light blue,amber,pale yellow,gold,teal,violet,cyan,brown,bright red,lime green,#FF0000,magenta").split(",")
FORMATS = ["in {C}", "in {C}", "with {C} fill", "with a {C} fill", "with a {C} background", "in bold", "in {C} bold", "in bold {C}", "using {C}", "with {C} text", "in {C} font", "with {C} font color", "with light red fill and dark red text",
           "with a {C} border", "with {C}", "in italics", "with {C} shading", "using {C} fill color", "as {C}", "in {C} so they stand out", "with strikethrough", "with bold text", "with {C} cell color", "{C}"]
# frames around an object, as "orders over $50"
OBJECT_FRAMES = ["{V} {o}"] * 9 + ["{V} {o} {F}"] * 9 + ["{V} all {o}", "{V} all {o} {F}", "{V} the {o}", "{V} any {o}", "please {V} {o}", "please {V} {o} {F}", "can you {V} {o}?", "could you {V} {o} {F}?", "I want to see {o}", "I need {o} highlighted",
                 "make {o} {C}", "make all {o} {C}", "show me {o}", "I'd like {o} in {C}", "{o}", "{o}", "{o} in {C}", "{o} should be {C}", "{o} -> {C}", "{o}: {C}", "{o} please", "turn {o} {C}", "let me see {o}", "I'm looking for {o}",
                 "where are the {o}?", "are there any {o}?", "how do I highlight {o}?", "how can I color {o} {C}?", "what are the {o}?", "{o} need to be {C}", "{o} must be shown in {C}", "I would like to {V} {o}", "we need to {V} {o}",
                 "put a {C} background on {o}", "use {C} for {o}", "set {o} to {C}", "give {o} a {C} background", "only {o}", "just {V} {o}", "help me {V} {o}", "want {o} {C}", "need to {V} {o}", "apply {C} color to {o}",
                 "apply {C} fill to {o}", "{C} for {o}", "color {o} {C}", "paint {o} {C}", "I have to find {o}", "find {o} and color them {C}", "{o} ought to stand out", "draw attention to {o}", "add a rule to {V} {o}",
                 "create a rule for {o}", "conditional formatting for {o}", "new rule: {o} {C}", "change the color of {o} to {C}", "all {o} get {C}", "{o} get a {C} fill", "{V} {o}, thanks", "hi, can you {V} {o}?",
                 "let's {V} {o}", "mind marking {o} {F}?", "show {o} in {C}", "I wish to have {o} colored {C}", "fill {o} with {C}", "make sure {o} stand out", "see {o}"]  # fmt: skip
# frames around a clause, as "price is over 50"
CLAUSE_FRAMES = ["{V} {R} where {x}"] * 10 + ["{V} {R} where {x} {F}", "{V} all {R} where {x}", "{V} the {R} where {x}", "{V} the row if {x}", "{V} the row when {x}", "if {x}, make it {C}", "if {x} then {V} it", "when {x}, color the row {C}",
                 "{x}", "{x}", "{x} -> {C}", "turn the row {C} when {x}", "{R} where {x}", "only {R} where {x}", "flag it when {x}", "{C} if {x}", "mark as {C} whenever {x}", "{V} cells if {x}", "new rule: {x}", "use {C} when {x}",
                 "make the row {C} if {x}", "{V} a row as soon as {x}", "show me {R} where {x}", "which {R} are there where {x}?", "please {V} {R} where {x}", "can you {V} {R} where {x}?", "I want to see {R} where {x}", "apply {C} where {x}",
                 "apply {C} color where {x}", "apply conditional formatting where {x}", "change color to {C} where {x}", "fill with {C} when {x}", "should turn {C} if {x}", "{V} {R} in which {x}", "{V} {R} for which {x}", "in case {x}, {V} it",
                 "whenever {x}, use {C}", "{V} if {x}", "{V} when {x}", "{V} it if {x}", "{C} fill when {x}", "make {R} {C} where {x}", "background {C} if {x}", "{x} = {C}", "{x} should be {C}", "color {C} if {x}", "let me see where {x}",
                 "I need to know where {x}", "find {R} where {x}", "add a rule so that the row turns {C} when {x}", "the row must be {C} if {x}", "{V} {R} whenever {x}", "where {x}, apply {C}", "could you color {R} {C} where {x}?",
                 "conditional formatting: {x}", "{V} those {R} where {x}", "for {R} where {x}, use {C}", "format the row {F} if {x}", "set color {C} when {x}", "highlight where {x}", "mark where {x}"]  # fmt: skip
QUESTION_FRAMES = ["which {e} {q}?", "which {e} {q}", "what {e} {q}?", "show me which {e} {q}", "which of the {e} {q}?", "can you show which {e} {q}?", "tell me which {e} {q}", "I want to know which {e} {q}", "{V} the {e} that {q}", "{V} {e} that {q}",
                   "{V} every one of the {e} that {q}", "do any {e} {q}?", "find out which {e} {q}", "{V} whichever {e} {q}"]  # fmt: skip
# the condition first or the column first, for one column; {c} is the column, {v} the values, {r} a post-modifier, {s} a singular verb phrase
COLUMN_FRAMES = ["{V} {v} {r} in {c}", "{V} {v} {r} in {c} {F}", "in {c}, {V} {v} {r}", "in {c} {V} {v} {r}", "for {c}, {V} {v} {r}", "{V} {v} in {c} {r}", "{V} {c} if it {s}", "{V} {c} when it {s}", "color {c} {C} if it {s}", "make {c} {C} when it {s}",
                 "{c}: {V} {v} {r}", "{c} - {v} {r}", "find {v} {r} in {c}", "{v} {r} in {c}", "{v} in {c} {r} should be {C}", "{V} anything {r} in {c}", "look at {c} and {V} {v} {r}", "from {c} {V} {v} {r}", "use {c} and color {v} {r} {C}",
                 "apply {C} to {c} where value {s}", "apply {C} color to {c} where value {s}", "{V} {c} where value {s}", "if {c} {s} then {C}", "if the value in {c} {s}, make it {C}", "please {V} {v} {r} within {c}", "in {c} mark {v} {r} as {C}",
                 "{V} {c} cells {r}", "check {c} for {v} {r}", "within {c}, show {v} {r}", "turn {c} {C} for {v} {r}", "on {c}, color {v} {r} {C}", "apply conditional formatting to {c} for {v} {r}", "go through {c} and {V} {v} {r}"]  # fmt: skip
VALUE_NOUNS = {
    "number": ["values", "cells", "numbers", "values", "cells", "entries", "figures", "amounts", "anything", "everything", "all values"],
    "text": ["values", "cells", "entries", "cells", "values", "anything", "everything", "cells", "text"],
    "date": ["dates", "cells", "values", "entries", "dates", "anything"],
}
ROW_NOUNS = ["rows", "rows", "rows", "rows", "records", "lines", "entries", "cells", "items"]
SHEET_NAMES = ("Sheet1,Sheet2,sheet1,Data,Summary,Table 1,Table C-5,Report,Inventory,2021,Budget Summary,Fig 1E,OCT-31,Employee Data,Master List,Page1,Raw Data,Q4 Results,Text File Structure,Rate Table,Overview,MF1,Tabelle1,Feuil1,Лист1,"
               "Grid Results,Assets,Ledger,Project Plan,Attendance,Export (2),Costs 2022-23,KPI,Main,Annex B,Data Elements,All species,Vendor List,TIMESHEET,DEC").split(",")  # fmt: skip
TYPOS = {
    "highlight": ["higlight", "hilight", "heighlight", "hightlight", "highlite", "highligt"], "column": ["colum", "coulmn", "columm"], "values": ["vlaues", "valeus", "vals"],
    "conditional": ["condtional", "conditonal"], "formatting": ["formating", "fomatting", "formation"], "greater": ["grater", "geater"], "between": ["betwen", "beetween"], "duplicate": ["duplcate", "dupe"],
    "average": ["avarage", "avg"], "where": ["wher", "were"], "with": ["wiht", "w/"], "above": ["abov", "abvoe"], "below": ["bellow", "belo"], "which": ["wich", "whcih"], "please": ["pls", "plz"], "color": ["colr", "collor"],
    "contains": ["contians", "conatins"], "and": ["&"], "rows": ["rws", "row"], "cells": ["cell", "cels"], "than": ["then"], "equal": ["equel"], "missing": ["mising"], "lowest": ["lowset"], "highest": ["higest", "hihest"],
    "apply": ["aply", "applied"], "blank": ["balnk"], "yellow": ["yelow"], "starting": ["startng"], "more": ["mor"], "after": ["aftr"], "before": ["befor"], "less": ["les"],
}  # fmt: skip
NUMBER_WORDS = {1: "one", 2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight", 9: "nine", 10: "ten", 11: "eleven", 12: "twelve", 15: "fifteen", 20: "twenty", 25: "twenty five", 30: "thirty", 40: "forty",
                50: "fifty", 60: "sixty", 70: "seventy", 80: "eighty", 90: "ninety", 100: "hundred", 1000: "a thousand"}  # fmt: skip
MONTHS = "January February March April May June July August September October November December".split()
